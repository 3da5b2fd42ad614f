/**
 * Nothing acknowledged is lost, nothing stands twice, nothing that certainly failed or was never sent
 * stands anywhere or was shown to anybody, and what was shown to somebody is there for ever. Sets of
 * values, no times.
 */
import type { History } from '../model/history.ts';
import type { FinalBatch } from '../model/operation.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { FinalLog, isAppend, showPlace, streamKey } from './final-log.ts';
import type { Append } from './final-log.ts';

export function checkRecordSets(history: History): Verdict {
  const findings = new Findings('nothing lost, doubled or made up', 'I1 I2 I8');
  const log = new FinalLog(history);
  const attempts = new Attempts(history);
  for (const append of attempts.all) {
    findings.checked += 1;
    checkAppend(append, log, findings);
  }
  checkNumbers(log.batches, findings);
  for (const batch of log.batches) {
    if (!attempts.knows(batch)) continue;
    for (const value of batch.values) {
      if (attempts.by(batch, value) !== null) continue;
      findings.object(`${value} stands at ${showPlace(batch.place)}; nobody has sent it`);
    }
  }
  for (const seen of history.observations) {
    if (seen.type !== 'delivery' || !attempts.knows(seen)) continue;
    const { observer, place, stream, values } = seen;
    findings.checked += 1;
    for (const [i, value] of values.entries()) {
      const at = { ...place, recordOffset: place.recordOffset + i };
      const told = `${observer} was given ${value} at ${showPlace(at)}`;
      const sender = attempts.by({ place, stream }, value);
      if (sender === null) findings.object(`${told}; nobody has sent it`);
      else if (sender.outcome.kind === 'failed') {
        findings.object(`${told}; its append certainly failed`, [sender.id]);
      } else {
        const standings = log.find(place.instance, stream, value);
        const isThere = standings.some(({ batch, index }) => {
          const offset = batch.place.recordOffset + index;
          return batch.place.timestamp === at.timestamp && offset === at.recordOffset;
        });
        if (!isThere) findings.object(`${told}; it does not stand there at the end`, [sender.id]);
      }
    }
  }
  return findings.verdict();
}

function checkAppend(append: Append, log: FinalLog, findings: Findings): void {
  const { action, outcome, id } = append;
  for (const [i, value] of action.values.entries()) {
    const standings = log.find(action.instance, action.stream, value);
    if (standings.length > 1) {
      const places = standings.map(({ batch }) => showPlace(batch.place)).join(' and ');
      findings.object(`${value} stands at ${places}`, [id]);
    }
    const [standing] = standings;
    if (outcome.kind === 'failed' && standing !== undefined) {
      const place = showPlace(standing.batch.place);
      findings.object(`${value} failed as ${outcome.reason} and stands at ${place}`, [id]);
    }
    if (outcome.kind !== 'ok') continue;
    if (standing === undefined) {
      findings.object(`${value} was acknowledged and is lost`, [id]);
      continue;
    }
    const { batch, index } = standing;
    const { timestamp, firstSeqNum } = outcome.answer;
    if (timestamp !== undefined && timestamp !== batch.place.timestamp) {
      const stands = batch.place.timestamp;
      findings.object(`${value} was acknowledged at ${timestamp} and stands at ${stands}`, [id]);
    }
    const seqNum = batch.firstSeqNum + index;
    if (firstSeqNum !== undefined && firstSeqNum + i !== seqNum) {
      const told = firstSeqNum + i;
      findings.object(`${value} was acknowledged as number ${told} and is number ${seqNum}`, [id]);
    }
  }
}

/** Numbers of a stream are dense, in the order of the places. */
function checkNumbers(batches: readonly FinalBatch[], findings: Findings): void {
  const next = new Map<string, number>();
  for (const { place, stream, firstSeqNum, values } of batches) {
    const key = streamKey(place.instance, stream);
    const expected = next.get(key) ?? 0;
    if (firstSeqNum !== expected) {
      const at = showPlace(place);
      findings.object(`stream ${key} goes on at ${at} with ${firstSeqNum}, not ${expected}`);
    }
    next.set(key, firstSeqNum + values.length);
  }
}

interface InStream {
  readonly place: { readonly instance: number };
  readonly stream: string;
}

/** Who has sent what. */
class Attempts {
  readonly all: readonly Append[];
  readonly #streams = new Set<string>();
  readonly #senders = new Map<string, Append>();

  constructor(history: History) {
    this.all = history.operations.filter((operation) => isAppend(operation));
    for (const append of this.all) {
      const { instance, stream, values } = append.action;
      const key = streamKey(instance, stream);
      this.#streams.add(key);
      for (const value of values) this.#senders.set(`${key} ${value}`, append);
    }
  }

  /** Streams of others (a sidecar's, say) are not ours to judge. */
  knows({ place, stream }: InStream): boolean {
    return this.#streams.has(streamKey(place.instance, stream));
  }

  by({ place, stream }: InStream, value: string): Append | null {
    return this.#senders.get(`${streamKey(place.instance, stream)} ${value}`) ?? null;
  }
}
