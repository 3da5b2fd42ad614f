/**
 * What every subscription promises. Three verdicts over one pass: any two observers of the same were
 * given the same sequence, one perhaps more of it (compared by hashes of the prefixes); a watermark
 * never goes back and nothing comes at or below it; and an observer that begins or resumes is given
 * exactly what follows, up to its watermark, without a hole.
 */
import type { History, Observation } from '../model/history.ts';
import type { FinalBatch, Scope } from '../model/operation.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { comparePlaces, FinalLog, showPlace } from './final-log.ts';

interface Observed {
  readonly observer: string;
  readonly scope: Scope;
  readonly events: readonly Observation[];
}

export function checkObservers(history: History): Verdict[] {
  const observers = observed(history);
  return [
    checkPrefixes(observers),
    checkWatermarks(observers),
    checkResumable(observers, new FinalLog(history)),
  ];
}

/** I7. The hash of every prefix of the longest one, against the hash of each whole other one. */
function checkPrefixes(observers: readonly Observed[]): Verdict {
  const findings = new Findings('one order for all observers', 'I7');
  const scopes = new Map<string, { observer: string; hashes: number[]; shown: string[] }[]>();
  for (const { observer, scope, events } of observers) {
    const start = events.find((it) => it.type === 'resumption');
    if (start !== undefined && start.after !== null) continue;
    const hashes = [0];
    const shown = [''];
    for (const it of events) {
      if (it.type !== 'delivery') continue;
      for (const [i, value] of it.values.entries()) {
        const at = { ...it.place, recordOffset: it.place.recordOffset + i };
        const text = `${showPlace(at)} ${it.stream} ${it.firstSeqNum + i} ${value}`;
        hashes.push(hash(hashes.at(-1) ?? 0, text));
        shown.push(text);
      }
    }
    findings.checked += hashes.length - 1;
    const key = JSON.stringify([scope.instance, scope.stream]);
    const list = scopes.get(key) ?? [];
    list.push({ observer, hashes, shown });
    scopes.set(key, list);
  }
  for (const list of scopes.values()) {
    const [longest, ...others] = list.sort((a, b) => b.hashes.length - a.hashes.length);
    if (longest === undefined) continue;
    for (const other of others) {
      if (other.hashes.at(-1) === longest.hashes[other.hashes.length - 1]) continue;
      const first = other.hashes.findIndex((it, i) => it !== longest.hashes[i]);
      const [a, b] = [longest.shown[first] ?? '', other.shown[first] ?? ''];
      const where = `as record ${first} in their order`;
      findings.object(`${where}, ${longest.observer} has seen ${a}, ${other.observer} ${b}`);
    }
  }
  return findings.verdict();
}

/** I12. */
function checkWatermarks(observers: readonly Observed[]): Verdict {
  const findings = new Findings('watermarks are promises', 'I12');
  for (const { observer, events } of observers) {
    let watermark = 0;
    for (const event of events) {
      if (event.type === 'progress') {
        findings.checked += 1;
        if (event.watermark < watermark) {
          const now = event.watermark;
          findings.object(`${observer} was shown watermark ${now} after ${watermark}`);
        }
        watermark = Math.max(watermark, event.watermark);
      } else if (event.type === 'delivery' && event.place.timestamp <= watermark) {
        const at = showPlace(event.place);
        findings.object(`${observer} was given ${at} after watermark ${watermark}`);
      }
    }
  }
  return findings.verdict();
}

/** I15. */
function checkResumable(observers: readonly Observed[], log: FinalLog): Verdict {
  const findings = new Findings('exactly what follows, without a hole', 'I15 I1');
  for (const { observer, scope, events } of observers) {
    const batches = log.batches.filter((batch) => isIn(scope, batch));
    let next = 0;
    for (const event of events) {
      const due = batches[next];
      if (event.type === 'resumption') {
        const { after } = event;
        next =
          after === null ? 0 : batches.findIndex(({ place }) => comparePlaces(place, after) > 0);
        if (next === -1) next = batches.length;
      } else if (event.type === 'progress') {
        const { watermark } = event;
        if (due === undefined || due.place.timestamp > watermark) continue;
        const missed = showPlace(due.place);
        findings.object(`${observer} was shown watermark ${watermark} and never given ${missed}`);
        next = batches.findIndex(({ place }) => place.timestamp > watermark);
        if (next === -1) next = batches.length;
      } else {
        findings.checked += 1;
        const { place, firstSeqNum } = event;
        if (due !== undefined && comparePlaces(due.place, place) === 0) {
          next += 1;
          if (due.firstSeqNum === firstSeqNum) continue;
        }
        const expected = due === undefined ? 'the end' : showPlace(due.place);
        const given = `${showPlace(place)} number ${firstSeqNum}`;
        findings.object(`${observer} was given ${given} where ${expected} follows`);
        const behind = batches.findIndex((it) => comparePlaces(it.place, place) > 0);
        next = behind === -1 ? batches.length : behind;
      }
    }
  }
  return findings.verdict();
}

function isIn({ instance, stream }: Scope, batch: FinalBatch): boolean {
  return (
    (instance === undefined || batch.place.instance === instance) &&
    (stream === undefined || batch.stream === stream)
  );
}

/** Events by observer, in the order in which it saw them. */
function observed(history: History): Observed[] {
  const observers = new Map<string, Observation[]>();
  for (const event of history.observations) {
    const events = observers.get(event.observer);
    if (events === undefined) observers.set(event.observer, [event]);
    else events.push(event);
  }
  return [...observers].map(([observer, events]) => {
    const scope = events.find((it) => it.type === 'resumption')?.scope ?? {};
    return { observer, scope, events };
  });
}

/** 53 bits, FNV-1a twice; chained from the prefix before. */
function hash(seed: number, text: string): number {
  let low = seed >>> 0 || 0x811c9dc5;
  let high = (seed / 0x1_0000_0000) >>> 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x85ebca6b) ^ (low >>> 15);
  }
  return (high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0);
}
