/**
 * Where shipping begins: what the journal holds of this source, whether the slot still fits to it,
 * and, the first time, the initial copy. The journal decides; Postgres's slot is only checked against it.
 *
 * An initial copy that was interrupted starts over with a new slot: its snapshot ended with the
 * connection that held it. What was appended of it are parts without an end, which appliers drop.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { describeSource, encodeWatermark } from '../../libs/postgres/change-format.ts';
import type { Source } from '../../libs/postgres/change-format.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresAddress, PostgresClient } from '../../libs/postgres/connection.ts';
import { LSN_ZERO, formatLsn } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import { readSnapshot } from '../../libs/postgres/snapshot.ts';
import type { CopyProgress } from '../../libs/postgres/snapshot.ts';
import {
  createSlot,
  dropSlot,
  identifySource,
  slotState,
  synchronousStandbys,
} from '../../libs/postgres/source.ts';
import { PartBuilder } from '../../libs/postgres/transaction-encoder.ts';
import type { Part, PartLimits } from '../../libs/postgres/transaction-encoder.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { ShipJournal } from './journal-port.ts';
import type { ShipLease } from './ship-lease.ts';
import { placeOf } from './ship-place.ts';

export interface ShipStartOptions {
  readonly address: PostgresAddress;
  readonly admin: PostgresClient;
  readonly journal: ShipJournal;
  readonly lease: ShipLease;
  readonly source: Source;
  readonly slot: string;
  readonly publication: string;
  readonly applicationName: string;
  readonly limits: PartLimits;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onCopying: (progress: CopyProgress | null) => void;
}

/** Parts of the copy that may be unanswered. */
const PARTS_MAX = 8;
const TELL_MS = 10_000;

/** The name of this database as the holder of the stream's lease. */
export function holderOf(source: Source, slot: string): string {
  return `pg:${source.systemId}.${source.timeline}:${slot}`;
}

/** A chain of appends of its own under each token: what a lower one still has under way touches none. */
export function writerIdOf(source: Source, slot: string, token: number): string {
  const system = BigInt(source.systemId).toString(36);
  return `pg:${system}.${source.timeline}:${slot}#${token}`;
}

/** Who the database at this address is. */
export async function identify(
  address: PostgresAddress,
  applicationName: string,
  until: AbortSignal,
): Promise<Source> {
  const name = `${applicationName} control`;
  const options = { address, applicationName: name, until };
  const client = await connectPostgres({ ...options, replication: 'database' });
  try {
    return await identifySource(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Returns the LSN up to which the journal holds everything. Throws OUT_OF_RANGE for a gap. */
export async function findStart(options: ShipStartOptions): Promise<Lsn> {
  const { admin, journal, slot, source } = options;
  // The slot first: what it has confirmed the journal holds by then, also while another sidecar goes on.
  let state = await slotState(admin, slot);
  let from = await placeOf(journal, source);
  if (from === null) return copyFirst(options);
  if (state === null) {
    // Another one's first copy may have come to its end in between.
    state = await slotState(admin, slot);
    from = (await placeOf(journal, source)) ?? from;
  }
  if (state === null) throw gap(options, from, 'the slot is gone');
  if (state.lost) throw gap(options, from, 'Postgres has removed the log it needs');
  if (state.confirmed > from) {
    throw gap(options, from, `the slot stands at ${formatLsn(state.confirmed)}`);
  }
  return from;
}

async function copyFirst(options: ShipStartOptions): Promise<Lsn> {
  const { admin, journal, slot, source, logger } = options;
  if ((await synchronousStandbys(admin)).includes(options.applicationName)) {
    throw new MeridianError(
      'REFUSED',
      'COMMIT waits for this sidecar already, so the transactions under way would never end and no ' +
        'initial copy can be made: ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()',
    );
  }
  options.onCopying(null);
  const token = await options.lease.acquire();
  const chain = journal.openWriter(writerIdOf(source, slot, token), token);
  const { address, applicationName, signal: until } = options;
  const maker = await connectPostgres({ address, applicationName, until, replication: 'database' });
  try {
    // Says whose stream this is, and that there is no copy yet.
    await chain.append([encodeWatermark({ kind: 'watermark', source, lsn: LSN_ZERO })], 1);
    if ((await slotState(admin, slot)) !== null) await dropSlot(admin, slot);
    const { from, snapshot } = await createSlot(maker, slot);
    logger.info({ from: formatLsn(from) }, 'initial copy begins');
    const copy = new PartBuilder(
      {
        source,
        snapshot: true,
        attempt: token,
        xid: 0,
        commitLsn: from,
        commitTime: Date.now() * 1000,
      },
      options.limits,
    );
    const final = await appendCopy(options, copy, snapshot, from);
    await chain.append(final.records, from);
    logger.info({ parts: final.header.part + 1 }, 'initial copy is in the journal');
    return from;
  } finally {
    chain.close();
    await maker.end().catch(() => undefined);
  }
}

/** Appends all parts but the last and waits for them; returns the last. */
async function appendCopy(
  options: ShipStartOptions,
  copy: PartBuilder,
  snapshot: string,
  from: Lsn,
): Promise<Part> {
  const { address, publication, journal, lease, signal } = options;
  const applicationName = `${options.applicationName} copy`;
  const underWay: Promise<void>[] = [];
  let told = Date.now();
  const onProgress = (progress: CopyProgress): void => {
    options.onCopying(progress);
    if (Date.now() - told < TELL_MS) return;
    told = Date.now();
    options.logger.info(progress, 'initial copy goes on');
  };
  const session = { address, applicationName, until: signal };
  const messages = readSnapshot(session, snapshot, publication, onProgress);
  for await (const message of messages) {
    signal.throwIfAborted();
    for (const part of copy.add(message) ?? []) {
      const answer = journal.appendPart(part.records, lease.token);
      answer.catch(() => undefined); // looked at below
      underWay.push(answer);
      if (underWay.length >= PARTS_MAX) await underWay.shift();
    }
  }
  await Promise.all(underWay);
  return copy.finish(from);
}

function gap(options: ShipStartOptions, from: Lsn, why: string): MeridianError {
  return new MeridianError(
    'OUT_OF_RANGE',
    `the journal holds ${describeSource(options.source)} up to ${formatLsn(from)}, but ${why}: ` +
      'transactions in between may be missing for ever, so nothing is shipped. To start over, use ' +
      'another slot and another stream, and copy the replicas anew',
    { details: { slot: options.slot, journal: formatLsn(from) } },
  );
}
