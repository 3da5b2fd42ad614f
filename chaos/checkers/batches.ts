/** A batch is whole wherever it is seen: in the journal, in what was delivered, in what was read. */
import type { History } from '../model/history.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { FinalLog, isAppend, showPlace, streamKey } from './final-log.ts';
import type { Append } from './final-log.ts';

export function checkBatches(history: History): Verdict {
  const findings = new Findings('batches are whole', 'I10');
  const senders = new Map<string, Append>();
  for (const append of history.operations) {
    if (!isAppend(append)) continue;
    findings.checked += 1;
    const { instance, stream, values } = append.action;
    for (const value of values) senders.set(`${streamKey(instance, stream)} ${value}`, append);
  }
  const check = (where: string, key: string, values: readonly string[]): void => {
    for (let i = 0; i < values.length;) {
      const sender = senders.get(`${key} ${values[i]}`);
      if (sender === undefined) {
        i += 1;
        continue;
      }
      const whole = sender.action.values;
      const seen = values.slice(i, i + whole.length);
      if (whole.length !== seen.length || whole.some((value, j) => value !== seen[j])) {
        const parts = `${seen.join(' ')} of ${whole.join(' ')}`;
        findings.object(`${where}: ${parts}`, [sender.id]);
      }
      i += whole.length;
    }
  };
  for (const { place, stream, values } of new FinalLog(history).batches) {
    check(`at ${showPlace(place)}`, streamKey(place.instance, stream), values);
  }
  for (const seen of history.observations) {
    if (seen.type !== 'delivery') continue;
    const key = streamKey(seen.place.instance, seen.stream);
    check(`${seen.observer} at ${showPlace(seen.place)}`, key, seen.values);
  }
  for (const { id, action, outcome } of history.operations) {
    if (action.kind !== 'read' || outcome.kind !== 'ok') continue;
    const values = outcome.answer.values ?? [];
    const key = streamKey(action.instance, action.stream);
    check(`read ${id}`, key, withoutBegun(values, key, senders));
  }
  return findings.verdict();
}

/** A read from a number in the middle of a batch begins with the rest of it. */
function withoutBegun(
  values: readonly string[],
  key: string,
  senders: ReadonlyMap<string, Append>,
): readonly string[] {
  const whole = senders.get(`${key} ${values[0]}`)?.action.values ?? [];
  const index = whole.indexOf(values[0] ?? '');
  return index > 0 ? values.slice(whole.length - index) : values;
}
