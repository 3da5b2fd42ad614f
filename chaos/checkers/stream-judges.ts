/** Everything that can be said of a history's streams without knowing what its workload was after. */
import type { History } from '../model/history.ts';
import type { Verdict } from '../model/verdict.ts';
import { checkBatches } from './batches.ts';
import { checkFencing } from './fencing.ts';
import { checkKnownOrder } from './known-order.ts';
import { checkObservers } from './observers.ts';
import { checkRealTime } from './real-time.ts';
import { checkRecordSets } from './record-sets.ts';
import { searchStreams } from './stream-search.ts';
import { checkWriters } from './writers.ts';

export function judgeStreams(history: History): Verdict[] {
  return [
    checkKnownOrder(history),
    searchStreams(history),
    checkRecordSets(history),
    checkRealTime(history),
    ...checkObservers(history),
    checkWriters(history),
    checkBatches(history),
    checkFencing(history),
  ];
}

/** A workload shares the journal with others: only what belongs to its own streams. */
export function ofStreams(history: History, isOwn: (stream: string) => boolean): History {
  const observers = new Set(
    history.observations
      .filter((it) => it.type === 'resumption' && isOwn(it.scope.stream ?? ''))
      .map(({ observer }) => observer),
  );
  return {
    ...history,
    operations: history.operations.filter(
      ({ action }) => 'stream' in action && isOwn(action.stream),
    ),
    observations: history.observations.filter(({ observer }) => observers.has(observer)),
    final: history.final.filter(({ stream }) => isOwn(stream)),
  };
}
