/**
 * Real time across streams and journals: what was acknowledged before something else was begun stands
 * before it. Inside an instance that holds of ORDERED appends by themselves. Across instances it holds of
 * appends that carry what the run has been told so far (`minTimestamp`), whatever the acknowledgement: that
 * is how clients that talk to each other keep causality. And no append goes behind a watermark that
 * was shown to anybody before it began.
 */
import type { History } from '../model/history.ts';
import type { Place } from '../model/operation.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { comparePlaces, endOf, FinalLog, isAppend, showPlace } from './final-log.ts';
import type { Append } from './final-log.ts';

interface Placed {
  readonly append: Append;
  readonly place: Place;
}

export function checkRealTime(history: History): Verdict {
  const findings = new Findings('real time across streams and journals', 'I6 I12');
  const log = new FinalLog(history);
  const placed = history.operations
    .filter((operation) => isAppend(operation))
    .map((append) => ({ append, place: log.placeOf(append) }))
    .filter((it): it is Placed => it.place !== null)
    .sort((a, b) => comparePlaces(a.place, b.place));
  findings.checked = placed.length;
  for (const instance of new Set(placed.map(({ place }) => place.instance))) {
    sweep(
      placed.filter(({ place }) => place.instance === instance),
      ({ action }) => action.ack === 'ORDERED',
      () => true,
      findings,
    );
  }
  sweep(
    placed,
    () => true,
    ({ action }) => action.minTimestamp !== undefined,
    findings,
  );
  checkWatermarks(history, placed, findings);
  return findings.verdict();
}

/** In the order of places: whatever stands before `isOver` and `isBound` must have begun in time. */
function sweep(
  placed: readonly Placed[],
  isOver: (append: Append) => boolean,
  isBound: (append: Append) => boolean,
  findings: Findings,
): void {
  let latest: Placed | null = null;
  for (const it of placed) {
    const { append, place } = it;
    if (latest !== null && isOver(append) && latest.append.invokedUs > endOf(append)) {
      const [before, after] = [showPlace(latest.place), showPlace(place)];
      const what = `began after the other was acknowledged, and stands at ${before} before ${after}`;
      findings.object(what, [latest.append.id, append.id]);
    }
    const begins = append.invokedUs;
    if (isBound(append) && (latest === null || begins > latest.append.invokedUs)) latest = it;
  }
}

function checkWatermarks(
  { observations }: History,
  placed: readonly Placed[],
  findings: Findings,
): void {
  const shown = observations.filter((it) => it.type === 'progress').sort((a, b) => a.atUs - b.atUs);
  const begun = [...placed].sort((a, b) => a.append.invokedUs - b.append.invokedUs);
  let next = 0;
  let highest = { watermark: 0, observer: '' };
  for (const { append, place } of begun) {
    for (let it = shown[next]; it !== undefined && it.atUs < append.invokedUs; it = shown[next]) {
      if (it.watermark > highest.watermark) highest = it;
      next += 1;
    }
    if (place.timestamp > highest.watermark) continue;
    const { watermark, observer } = highest;
    const what = `began after ${observer} was shown watermark ${watermark}, stands at ${showPlace(place)}`;
    findings.object(what, [append.id]);
  }
}
