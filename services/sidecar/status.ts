/** What a sidecar says of its roles when it is asked. */
import { formatLsn } from '../../libs/postgres/lsn.ts';
import type { ApplyProgress } from './apply.ts';
import type { LinearizableReads } from './reads.ts';
import type { ShipProgress } from './ship-progress.ts';
import type { AppliedWatermark } from './watermark.ts';

export function shipStatus(ship: ShipProgress): {
  state: string;
  error: string;
  confirmedLsn: string;
  transactions: bigint;
  inFlight: number;
  epoch: number;
  synchronous: boolean;
  latencyP50Seconds: number;
  latencyP99Seconds: number;
  fencingToken: bigint;
  writes: string;
  copy?: { table: string; tablesDone: number; tables: number; rows: bigint; rowsEstimated: bigint };
} {
  const { p50, p99 } = ship.latency.snapshot();
  const { copy } = ship;
  return {
    state: ship.state,
    error: errorOf(ship),
    confirmedLsn: formatLsn(ship.confirmed),
    transactions: BigInt(ship.transactions),
    inFlight: ship.inFlight,
    epoch: ship.epoch,
    synchronous: ship.synchronous,
    latencyP50Seconds: p50 / 1e6,
    latencyP99Seconds: p99 / 1e6,
    fencingToken: BigInt(ship.token),
    writes: ship.writes,
    ...(copy === null
      ? {}
      : {
          copy: {
            ...copy,
            rows: BigInt(copy.rows),
            rowsEstimated: BigInt(copy.rowsEstimated),
          },
        }),
  };
}

export function applyStatus(
  status: ApplyProgress,
  watermark: AppliedWatermark,
  reads: LinearizableReads | null,
): {
  state: string;
  error: string;
  watermark: bigint;
  timestamp: bigint;
  commitLsn: string;
  commitTime: bigint;
  transactions: bigint;
  rows: bigint;
  queuedBytes: bigint;
  waitP50Seconds: number;
  waitP99Seconds: number;
} {
  const { p50, p99 } = reads?.latency.snapshot() ?? { p50: 0, p99: 0 };
  return {
    state: status.state,
    error: status.error,
    watermark: BigInt(watermark.value),
    timestamp: BigInt(status.timestamp),
    commitLsn: formatLsn(status.commitLsn),
    commitTime: BigInt(status.commitTime),
    transactions: BigInt(status.transactions),
    rows: BigInt(status.rows),
    queuedBytes: BigInt(status.queuedBytes),
    waitP50Seconds: p50 / 1e6,
    waitP99Seconds: p99 / 1e6,
  };
}

/** What nobody would guess from the state: that the database takes writes whose COMMIT never returns. */
function errorOf({ error, writes, writesError }: ShipProgress): string {
  if (writes !== 'refusing') return error;
  const why = writesError === '' ? '' : ` (${writesError})`;
  return `${error}; new sessions can still write here, and their COMMIT waits for ever${why}`;
}
