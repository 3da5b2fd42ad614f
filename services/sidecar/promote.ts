/**
 * A replica becomes the primary (libs/postgres/SPEC.md H1–H4). In order: the lease, so that nobody else
 * can append any more; everything that is in the stream, applied; slot, publication and triggers, so that
 * nothing that is committed here from now on escapes; sequences; and the handover, in the stream, which
 * every applier obeys, ours too. Until that one is in the order nothing has happened: whatever fails before
 * leaves a replica, and the lease expires.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { encodeHandover, sameSource } from '../../libs/postgres/change-format.ts';
import type { Source } from '../../libs/postgres/change-format.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import {
  dropDefinitionTriggers,
  ensureDefinitionTriggers,
} from '../../libs/postgres/definition-triggers.ts';
import { formatLsn } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import { advanceSequences } from '../../libs/postgres/sequences.ts';
import { endCommitWaiters } from '../../libs/postgres/sessions.ts';
import {
  createSlot,
  dropSlot,
  ensurePublication,
  ensureSynchronous,
  preflightSource,
  slotState,
  stopSynchronous,
} from '../../libs/postgres/source.ts';
import type { RoleChange } from './member.ts';
import { ShipLease } from './ship-lease.ts';
import { sourceOf } from './ship-place.ts';
import { holderOf, writerIdOf } from './ship-start.ts';

export interface Promotion {
  /** How long the lease of the predecessor lasted. */
  readonly leaseWaitMs: number;
  /** From the lease until it ships and COMMIT returns. */
  readonly takeoverMs: number;
  readonly sequences: number;
}

const LEASE_RETRY_MS = 100;
const LOOK_MS = 20;

export async function promote(change: RoleChange): Promise<Promotion> {
  const { config, admin, self, shipTo, applyFrom, watermark, signal, logger } = change;
  const { slot, leaseMs } = config.ship;
  if (change.apply.state !== 'applying') {
    const message = `this replica does not apply (${change.apply.state}: ${change.apply.error})`;
    throw new MeridianError('UNAVAILABLE', message);
  }
  const { definitions, tables, publication } = config.ship;
  await preflightSource(admin);
  await ensurePublication(admin, publication, tables.length === 0 ? 'all' : tables);
  await shipTo.requireFencing();
  const lease = new ShipLease({
    ...{ journal: shipTo, holder: holderOf(self, slot), ttlMs: leaseMs },
    onLost: () => undefined, // the handover will be refused
  });
  const began = Date.now();
  let prepared = false;
  try {
    await acquire(lease, signal);
    const acquired = Date.now();
    logger.info({ waitedMs: acquired - began, token: lease.token }, 'promotion: has the lease');
    // What was acknowledged was appended under an older token, so it lies before ours in the order.
    await watermark.reach(await applyFrom.heartbeat(), signal);
    const from = await sourceOf(shipTo);
    if (from === null) throw new MeridianError('REFUSED', 'the stream holds nothing to take over');
    let sequences = 0;
    if (!sameSource(from, self)) {
      await change.apply.abandonUnfinished();
      prepared = true;
      if (definitions && tables.length === 0) await ensureDefinitionTriggers(admin);
      if (config.ship.synchronous) await ensureSynchronous(admin, config.ship.applicationName);
      const lsn = await makeSlot(change);
      sequences = await advanceSequences(admin);
      prepared = false; // from here on it may be the primary, whatever the answer
      await handOver(change, lease.token, from, lsn);
      logger.info({ lsn: formatLsn(lsn), sequences }, 'promotion: the stream is handed over');
    }
    while (change.ship.state !== 'streaming') await pause(LOOK_MS, signal);
    return { leaseWaitMs: acquired - began, takeoverMs: Date.now() - acquired, sequences };
  } catch (error) {
    if (prepared) await undo(change);
    throw error;
  } finally {
    lease.stop();
  }
}

/** Still a replica: nobody waits for a quorum here, and no log is kept. */
async function undo({ admin, config, logger }: RoleChange): Promise<void> {
  const { slot, applicationName } = config.ship;
  try {
    await endCommitWaiters(admin);
    await stopSynchronous(admin, applicationName);
    await dropDefinitionTriggers(admin);
    if ((await slotState(admin, slot)) !== null) await dropSlot(admin, slot);
  } catch (error) {
    logger.warn({ error }, 'a promotion failed, and cannot be undone here altogether');
  }
}

async function acquire(lease: ShipLease, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await lease.acquire();
      return;
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      if (error.reason !== 'LEASE_HELD' && !error.retry) throw error;
      await pause(LEASE_RETRY_MS, signal, error.message);
    }
  }
}

/** Commits that wait here for a standby that there was none of would be waited for in turn: they end. */
async function makeSlot({ config, admin, signal }: RoleChange): Promise<Lsn> {
  const { slot, applicationName } = config.ship;
  if ((await slotState(admin, slot)) !== null) await dropSlot(admin, slot);
  const options = {
    address: config.postgres,
    applicationName: `${applicationName} promote`,
    until: signal,
  };
  const maker = await connectPostgres({ ...options, replication: 'database' });
  try {
    const making = createSlot(maker, slot);
    const isMade = making.then(
      () => true,
      () => true, // said below
    );
    while (!(await Promise.race([isMade, pause(LOOK_MS, signal).then(() => false)]))) {
      await endCommitWaiters(admin);
    }
    const { from } = await making;
    await endCommitWaiters(admin);
    return from;
  } finally {
    await maker.end().catch(() => undefined);
  }
}

/** The last word under our token, which says from then on where we ship from. */
async function handOver(
  { shipTo, self, config }: RoleChange,
  token: number,
  from: Source,
  lsn: Lsn,
): Promise<void> {
  const writer = shipTo.openWriter(writerIdOf(self, config.ship.slot, token), token);
  try {
    await writer.append([encodeHandover({ kind: 'handover', source: self, lsn, from })], lsn);
  } finally {
    writer.close();
  }
}

async function pause(ms: number, signal: AbortSignal, why = 'not promoted in time'): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    throw new MeridianError('DEADLINE', why);
  });
}
