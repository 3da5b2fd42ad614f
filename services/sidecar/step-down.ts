/**
 * The primary makes room for a successor without anything left behind: no new writes, sessions that could
 * still write are ended, and what is committed is in the journal and confirmed. The owner then ends the
 * shipping, which releases the lease.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { parseLsn } from '../../libs/postgres/lsn.ts';
import { endOtherSessions, setReadOnly } from '../../libs/postgres/sessions.ts';
import { touchLog } from '../../libs/postgres/source.ts';
import type { RoleChange } from './member.ts';

const LOOK_MS = 20;

export async function stepDown({ admin, config, ship, signal }: RoleChange): Promise<void> {
  if (ship.state !== 'streaming') {
    throw new MeridianError('UNAVAILABLE', `this primary does not ship (${ship.state})`);
  }
  const since = await setReadOnly(admin, true);
  try {
    while ((await endOtherSessions(admin, config.ship.applicationName, since)) > 0) {
      await pause(signal, 'sessions do not end');
    }
    await touchLog(admin);
    const { rows } = await admin.query<{ end: string }>(
      'SELECT pg_current_wal_flush_lsn()::text AS end',
    );
    const end = parseLsn(rows[0]?.end ?? '0/0');
    while (ship.confirmed < end) await pause(signal, 'the journal does not confirm');
  } catch (error) {
    await setReadOnly(admin, false).catch(() => undefined);
    throw error;
  }
}

async function pause(signal: AbortSignal, why: string): Promise<void> {
  await sleep(LOOK_MS, undefined, { signal }).catch(() => {
    throw new MeridianError('DEADLINE', `did not step down in time: ${why}`);
  });
}
