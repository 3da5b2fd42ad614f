/**
 * The stream as a data type for the search of Wing and Gong: a list whose tail is a number, and its last
 * value. Appends with and without a condition, reads of the rest from a number on, looks at the tail.
 * What nobody has heard of again is dropped when it is not in the final log, and has its number when it is.
 */
import type { History } from '../model/history.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { endOf, FinalLog, isAppend, streamKey } from './final-log.ts';
import type { Append } from './final-log.ts';
import { search } from './wing-gong.ts';
import type { Model, Timed } from './wing-gong.ts';

interface State {
  readonly tail: number;
  /** null: empty. */
  readonly last: string | null;
}

type Action = { readonly id: number } & (
  | {
      readonly kind: 'append';
      /** null: not known. */
      readonly at: number | null;
      readonly expected: number | null;
      readonly count: number;
      readonly last: string;
    }
  /** `last` is undefined where the operation has not seen it. */
  | { readonly kind: 'look'; readonly tail: number; readonly last?: string | undefined }
);

const STUCK_SHOWN = 10;

const stream: Model<State, Action> = {
  initial: { tail: 0, last: null },
  step(state, action) {
    if (action.kind === 'look') {
      const sees = action.last === undefined || action.last === state.last;
      return action.tail === state.tail && sees ? [state] : [];
    }
    if (action.at !== null && action.at !== state.tail) return [];
    if (action.expected !== null && action.expected !== state.tail) return [];
    return [{ tail: state.tail + action.count, last: action.last }];
  },
  key: ({ tail, last }) => `${tail} ${last ?? ''}`,
};

export function searchStreams(history: History): Verdict {
  const findings = new Findings('linearizable streams, by search', 'I5 I13');
  const log = new FinalLog(history);
  for (const [name, operations] of streamOperations(history, log)) {
    findings.checked += operations.length;
    const result = search(operations, stream);
    if (result.kind === 'undecided') {
      findings.object(`stream ${name}: the search gave up, which is no verdict`);
    } else if (result.kind === 'illegal') {
      const stuck = result.stuck.slice(0, STUCK_SHOWN).map(({ action }) => action.id);
      findings.object(`stream ${name}: no order explains the answers; it fails at these`, stuck);
    }
  }
  return findings.verdict();
}

/** By stream; operations without any information are left out. */
function streamOperations(history: History, log: FinalLog): Map<string, Timed<Action>[]> {
  const streams = new Map<string, Timed<Action>[]>();
  for (const operation of history.operations) {
    const { action: asked, invokedUs: began } = operation;
    if (!('stream' in asked)) continue;
    const action = isAppend(operation) ? appendOf(operation, log) : lookOf(operation);
    if (action === null) continue;
    const key = streamKey(asked.instance, asked.stream);
    // A QUORUM answer says that it will be seen from now on, not that it has its place already.
    const isQuorum = asked.kind === 'append' && asked.ack === 'QUORUM';
    const ended = isQuorum && action.kind === 'append' ? Infinity : endOf(operation);
    const timed = { action, began, ended };
    const known = streams.get(key);
    if (known === undefined) streams.set(key, [timed]);
    else known.push(timed);
  }
  return streams;
}

function appendOf(append: Append, log: FinalLog): Action | null {
  const { id, action, outcome } = append;
  if (outcome.kind === 'failed') {
    const actual = outcome.details?.['actual'];
    const isMismatch = outcome.reason === 'CONDITION_FAILED' && actual !== undefined;
    return isMismatch ? { id, kind: 'look', tail: Number(actual) } : null;
  }
  const standing = log.standingOf(append);
  if (outcome.kind === 'unknown' && standing === null) return null;
  const answered = outcome.kind === 'ok' ? outcome.answer.firstSeqNum : undefined;
  return {
    id,
    kind: 'append',
    at: answered ?? log.seqNumOf(append),
    expected: action.matchSeqNum ?? null,
    count: action.values.length,
    last: action.values.at(-1) ?? '',
  };
}

function lookOf({ id, action, outcome }: History['operations'][number]): Action | null {
  if (action.kind !== 'read' && action.kind !== 'tail') return null;
  if (outcome.kind !== 'ok' || outcome.answer.tail === undefined) return null;
  return { id, kind: 'look', tail: outcome.answer.tail, last: outcome.answer.values?.at(-1) };
}
