/**
 * A primary that was fenced becomes a replica (libs/postgres/SPEC.md H5). What it had committed and the
 * journal never confirmed is what its slot still gives: nobody was told that it was committed. Without any,
 * the database is the prefix of the stream that ends at the handover and simply goes on there. With some,
 * the stream may hold them or not: the database is emptied and the stream applied from its beginning.
 *
 * It may be repeated whenever it fails: the role in the database changes last.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { becomeReplica } from '../../libs/postgres/applied-position.ts';
import { sameSource } from '../../libs/postgres/change-format.ts';
import { dropDefinitionTriggers } from '../../libs/postgres/definition-triggers.ts';
import { LSN_ZERO } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import { endCommitWaiters, endOtherSessions, setReadOnly } from '../../libs/postgres/sessions.ts';
import { dropSlot, slotState, stopSynchronous, truncateAll } from '../../libs/postgres/source.ts';
import { findUnshipped } from '../../libs/postgres/unshipped.ts';
import type { RoleChange } from './member.ts';
import { sourceOf } from './ship-place.ts';

export interface Rejoined {
  /** Transactions that were committed here and never confirmed; null: cannot be told. */
  readonly discarded: number | null;
  /** true: emptied, and applied from the beginning of the stream. */
  readonly rebuilt: boolean;
}

const LOOK_MS = 20;

/** `leftAt`: journal timestamp at which it had stepped down; 0: it had not, or nobody knows. */
export async function rejoin(change: RoleChange, leftAt: number): Promise<Rejoined> {
  const { admin, config, self, shipTo, applyFrom, logger, signal } = change;
  const { applicationName, slot } = config.ship;
  const source = await sourceOf(shipTo);
  if (source === null || sameSource(source, self)) {
    throw new MeridianError(
      'REFUSED',
      'the stream still comes from this database: it is the primary; promote another one first',
    );
  }
  await change.holdAttempts();
  // First nobody waits for a quorum any more: with the setting gone, Postgres would tell them "committed".
  const since = await setReadOnly(admin, true);
  for (;;) {
    const writers = await endOtherSessions(admin, applicationName, since);
    if (writers + (await endCommitWaiters(admin)) === 0) break;
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {
      throw new MeridianError('DEADLINE', 'sessions do not end');
    });
  }
  await stopSynchronous(admin, applicationName);
  const { count: discarded, end } = await unshipped(change);
  const rebuilt = discarded !== 0;
  logger.warn({ discarded, rebuilt }, 'rejoining as a replica');
  if ((await slotState(admin, slot)) !== null) await dropSlot(admin, slot);
  await dropDefinitionTriggers(admin);
  // A crossbar goes on by its cursors only; what is known is then read once more, and skipped.
  const direct = config.apply.crossbars.length === 0;
  const place = { source: self, endLsn: end, timestamp: direct ? leftAt : 0 };
  // It may have been the primary several times, and is to read of all of them without becoming it again.
  const now = await applyFrom.heartbeat();
  await admin.query('BEGIN');
  if (rebuilt) await truncateAll(admin);
  await becomeReplica(admin, config.apply.name, rebuilt ? null : place, now);
  await admin.query('COMMIT');
  await setReadOnly(admin, false);
  return { discarded, rebuilt };
}

/** Behind what the slot was told to be durable; `end`: of the log. */
async function unshipped({
  admin,
  config,
  self,
  signal,
}: RoleChange): Promise<{ readonly count: number | null; readonly end: Lsn }> {
  const { slot, publication, applicationName } = config.ship;
  const state = await slotState(admin, slot);
  if (state === null || state.lost) return { count: null, end: LSN_ZERO };
  return findUnshipped({
    ...{ admin, address: config.postgres, slot, publication, source: self, signal },
    ...{ after: state.confirmed, applicationName: `${applicationName} rejoin` },
  });
}
