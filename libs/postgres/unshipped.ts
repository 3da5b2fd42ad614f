/**
 * What a database has committed and the journal does not hold: read from the slot, which keeps it. For a
 * primary that was fenced these are the transactions nobody was told about.
 */
import { MeridianError } from '../errors/errors.ts';
import type { Source } from './change-format.ts';
import type { PostgresAddress, PostgresClient } from './connection.ts';
import { parseLsn } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import { CODE, decodeMessage } from './pgoutput.ts';
import { ReplicationSession } from './replication-session.ts';
import { SEQUENCES_PREFIX } from './sequences.ts';
import { touchLog } from './source.ts';
import { TransactionEncoder } from './transaction-encoder.ts';
import type { Part } from './transaction-encoder.ts';

export interface UnshippedOptions {
  readonly admin: PostgresClient;
  readonly address: PostgresAddress;
  readonly applicationName: string;
  readonly slot: string;
  readonly publication: string;
  readonly source: Source;
  /** The journal has confirmed everything before this. */
  readonly after: Lsn;
  readonly signal: AbortSignal;
}

/** How many transactions, up to the end of the log at the call. Confirms nothing. */
export async function findUnshipped(
  options: UnshippedOptions,
): Promise<{ readonly count: number; readonly end: Lsn }> {
  const { admin, address, applicationName, slot, publication, source, after, signal } = options;
  await touchLog(admin);
  const { rows } = await admin.query<{ end: string }>(
    'SELECT pg_current_wal_flush_lsn()::text AS end',
  );
  const end = parseLsn(rows[0]?.end ?? '0/0');
  const encoder = new TransactionEncoder({ source, attempt: 0, after });
  let count = 0;
  let changed = false;
  let session: ReplicationSession | null = null;
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(new MeridianError('DEADLINE', 'the log was not read to its end in time'));
      });
      const message = (bytes: Uint8Array): void => {
        for (const out of encoder.push(bytes)) {
          if (out.kind === 'part') changed ||= changesSomething(out);
          if (out.kind === 'part' && !out.header.final) continue;
          if (changed) count += 1;
          changed = false;
          if ((out.kind === 'part' ? out.header.endLsn : out.endLsn) >= end) resolve();
        }
      };
      ReplicationSession.start(
        { address, applicationName, slot, publication, from: after, until: signal },
        {
          message: (bytes) => {
            try {
              message(bytes);
            } catch (error) {
              reject(error instanceof Error ? error : new Error(String(error)));
            }
          },
          keepalive: (at) => {
            if (at >= end && !encoder.inTransaction) resolve();
          },
          ended: (error) => {
            reject(error ?? new MeridianError('UNAVAILABLE', 'the replication session ended'));
          },
        },
      ).then((started) => {
        session = started;
      }, reject);
    });
    return { count, end };
  } finally {
    await (session as ReplicationSession | null)?.close();
  }
}

/** Values of sequences are no loss: a promotion steps over them. */
function changesSomething({ records }: Part): boolean {
  return records.slice(1).some((record) => {
    if (record[0] === CODE.relation || record[0] === CODE.type) return false;
    if (record[0] !== CODE.message) return true;
    const message = decodeMessage(record);
    return message.kind !== 'message' || message.prefix !== SEQUENCES_PREFIX;
  });
}
