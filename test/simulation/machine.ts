/** The ordered state machine of one life, and the planted loss of its writer table at a restart. */
import type { HashedOrderMachine } from '../../libs/order/machine.ts';
import type { BatchHeader, Outcome } from '../../libs/order/types.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import type { Parts } from './core.ts';
import type { HarnessBug } from './planted-bugs.ts';

export function startMachine(
  parts: Parts,
  bug: HarnessBug | null,
  snapshot: readonly Uint8Array[] | null,
): HashedOrderMachine {
  const machine =
    snapshot === null ? parts.createOrderMachine() : parts.restoreOrderMachine(snapshot);
  return bug === 'writers-lost' ? forgetful(machine) : machine;
}

/** Nobody remembers who wrote: every batch passes as one without a writer. */
function forgetful(machine: HashedOrderMachine): HashedOrderMachine {
  return {
    apply: (batch: BatchHeader, timestamp: Timestamp): Outcome =>
      machine.apply({ ...batch, writer: null }, timestamp),
    stream: (name) => machine.stream(name),
    writer: () => null,
    resolve: () => ({ state: 'pending' }),
    demandsToken: (stream) => machine.demandsToken(stream),
    streams: (query) => machine.streams(query),
    snapshot: () => machine.snapshot(),
    hash: () => machine.hash(),
    timestamp: 0 as Timestamp,
    get retiredFrom() {
      return machine.retiredFrom;
    },
    streamCount: 0,
    applied: 0,
    writerCount: 0,
    outcomeSlots: 0,
    actionCount: 0,
  };
}
