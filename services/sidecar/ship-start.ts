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
import { LSN_FIRST, LSN_ZERO, alignLsn, formatLsn } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import { readSnapshot } from '../../libs/postgres/snapshot.ts';
import {
  createSlot,
  dropSlot,
  slotState,
  synchronousStandbys,
} from '../../libs/postgres/source.ts';
import { PartBuilder } from '../../libs/postgres/transaction-encoder.ts';
import type { Part, PartLimits } from '../../libs/postgres/transaction-encoder.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { ShipJournal } from './journal-port.ts';

export interface ShipStartOptions {
  readonly address: PostgresAddress;
  readonly admin: PostgresClient;
  readonly journal: ShipJournal;
  readonly source: Source;
  readonly slot: string;
  readonly publication: string;
  readonly applicationName: string;
  readonly limits: PartLimits;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onCopying: () => void;
}

/** Parts of the copy that may be unanswered. */
const PARTS_MAX = 8;

/** The name under which the transactions of this source are exactly once. */
export function writerIdOf(source: Source, slot: string): string {
  return `pg:${source.systemId}.${source.timeline}:${slot}`;
}

/** Returns the LSN up to which the journal holds everything. Throws OUT_OF_RANGE for a gap. */
export async function findStart(options: ShipStartOptions): Promise<Lsn> {
  const { admin, journal, slot, source } = options;
  const writer = await journal.writerState(writerIdOf(source, slot));
  if (writer.lastSeq < LSN_FIRST) return copyFirst(options, writer);
  const from = alignLsn(writer.lastSeq);
  const state = await slotState(admin, slot);
  if (state === null) throw gap(options, from, 'the slot is gone');
  if (state.lost) throw gap(options, from, 'Postgres has removed the log it needs');
  if (state.confirmed > from) {
    throw gap(options, from, `the slot stands at ${formatLsn(state.confirmed)}`);
  }
  return from;
}

async function copyFirst(
  options: ShipStartOptions,
  writer: { readonly epoch: number; readonly lastSeq: number },
): Promise<Lsn> {
  const { admin, journal, slot, source, logger } = options;
  if (writer.epoch === 0 && (await journal.streamTail()) > 0) {
    throw new MeridianError(
      'REFUSED',
      `the stream already holds records, and none of ${describeSource(source)} with slot ${slot}: ` +
        'give this source a stream of its own',
    );
  }
  if ((await synchronousStandbys(admin)).includes(options.applicationName)) {
    throw new MeridianError(
      'REFUSED',
      'COMMIT waits for this sidecar already, so the transactions under way would never end and no ' +
        'initial copy can be made: ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()',
    );
  }
  options.onCopying();
  const epoch = writer.epoch + 1;
  const seq = writer.lastSeq + 1;
  // ORDERED: whether the copy counts must be known here, not only that it is on disk.
  const id = writerIdOf(source, slot);
  const chain = journal.openWriter({ id, epoch, lastSeq: writer.lastSeq, ack: 'ORDERED' });
  const maker = await connectPostgres({ ...options, replication: 'database' });
  try {
    // From here on earlier shippers of this source are fenced.
    await chain.append([encodeWatermark({ kind: 'watermark', source, lsn: LSN_ZERO })], seq);
    if ((await slotState(admin, slot)) !== null) await dropSlot(admin, slot);
    const { from, snapshot } = await createSlot(maker, slot);
    logger.info({ from: formatLsn(from) }, 'initial copy begins');
    const copy = new PartBuilder(
      {
        source,
        snapshot: true,
        attempt: epoch,
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
  const { address, publication, journal, signal } = options;
  const applicationName = `${options.applicationName} copy`;
  const underWay: Promise<void>[] = [];
  const messages = readSnapshot({ address, applicationName }, snapshot, publication);
  for await (const message of messages) {
    signal.throwIfAborted();
    for (const part of copy.add(message) ?? []) {
      const answer = journal.appendPart(part.records);
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
