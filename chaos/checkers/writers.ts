/**
 * Exactly once: of each writer, epoch and number one append stands in the journal at most, in the order of
 * the numbers, none of an epoch behind a higher one, and none left out that was not refused.
 */
import type { History } from '../model/history.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { comparePlaces, FinalLog, isAppend, showPlace } from './final-log.ts';
import type { Append } from './final-log.ts';
import type { Place, WriterIdentity } from '../model/operation.ts';

interface Written {
  readonly append: Append;
  readonly writer: WriterIdentity;
  readonly place: Place;
}

export function checkWriters(history: History): Verdict {
  const findings = new Findings('writers take effect once, in order', 'I9');
  const log = new FinalLog(history);
  const appends = new Map<string, Append[]>();
  const written = new Map<string, Written[]>();
  for (const append of history.operations) {
    if (!isAppend(append) || append.action.writer === undefined) continue;
    findings.checked += 1;
    const { writer, instance, stream, values } = append.action;
    const name = `${instance}/${writer.id}`;
    const known = appends.get(name);
    if (known === undefined) appends.set(name, [append]);
    else known.push(append);
    for (const { batch, index } of log.find(instance, stream, values[0] ?? '')) {
      const place = { ...batch.place, recordOffset: batch.place.recordOffset + index };
      const list = written.get(name);
      if (list === undefined) written.set(name, [{ append, writer, place }]);
      else list.push({ append, writer, place });
    }
  }
  for (const [name, list] of written) {
    list.sort((a, b) => comparePlaces(a.place, b.place));
    checkSequence(name, list, findings);
    checkLeftOut(name, list, appends.get(name) ?? [], findings);
  }
  return findings.verdict();
}

function checkSequence(name: string, list: readonly Written[], findings: Findings): void {
  let last: Written | null = null;
  for (const it of list) {
    if (last !== null) {
      const { epoch, seq } = last.writer;
      const ids = [last.append.id, it.append.id];
      const now = `${it.writer.epoch}:${it.writer.seq} at ${showPlace(it.place)}`;
      if (it.writer.epoch < epoch) {
        findings.object(`writer ${name}: ${now} stands behind epoch ${epoch}`, ids);
      } else if (it.writer.epoch === epoch && it.writer.seq === seq) {
        findings.object(`writer ${name}: ${now} stands there twice`, ids);
      } else if (it.writer.epoch === epoch && it.writer.seq < seq) {
        findings.object(`writer ${name}: ${now} stands behind ${epoch}:${seq}`, ids);
      }
    }
    if (last === null || it.writer.epoch >= last.writer.epoch) last = it;
  }
}

/** A number that stands there proves all lower ones of its epoch that were not refused. */
function checkLeftOut(
  name: string,
  list: readonly Written[],
  appends: readonly Append[],
  findings: Findings,
): void {
  const highest = new Map<number, Written>();
  const there = new Set<string>();
  for (const it of list) {
    const known = highest.get(it.writer.epoch);
    if (known === undefined || it.writer.seq > known.writer.seq) highest.set(it.writer.epoch, it);
    there.add(`${it.writer.epoch}:${it.writer.seq}`);
  }
  for (const append of appends) {
    const { writer } = append.action;
    if (writer === undefined || append.outcome.kind === 'failed') continue;
    const proof = highest.get(writer.epoch);
    if (proof === undefined || proof.writer.seq < writer.seq) continue;
    const number = `${writer.epoch}:${writer.seq}`;
    if (there.has(number)) continue;
    const what = `writer ${name}: ${number} is missing below ${proof.writer.seq}`;
    findings.object(what, [append.id, proof.append.id]);
  }
}
