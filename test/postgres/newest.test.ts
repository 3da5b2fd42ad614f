/**
 * The stories of the sidecars with the newest Postgres that npm carries, and a schema with everything in it,
 * made, filled and changed while it is shipped. The Postgres of this machine is an older one, mostly.
 */
import { expect, test } from 'vitest';
import { findPrograms } from '../../libs/postgres/programs.ts';
import { CHANGES, ROWS, TYPES } from '../../libs/postgres/testing-types.ts';
import { open, tellStories } from './stories.ts';

tellStories(findPrograms({ path: '', system: [] }));

test('carries every type, in tables that came the same way, also where whole rows are the key', async () => {
  const here = await open('ship');
  const there = await open('apply');
  const version = "SELECT current_setting('server_version_num')::int / 10000 AS it";
  const { rows } = await here.query<{ it: string }>(version);
  expect(Number(rows[0]?.it)).toBeGreaterThanOrEqual(17);
  await here.query(TYPES);
  await here.query('CREATE TABLE alike (LIKE everything); ALTER TABLE alike REPLICA IDENTITY FULL');
  for (const sql of ROWS) await here.query(sql);
  await here.query('INSERT INTO alike TABLE everything');
  for (const sql of CHANGES) await here.query(sql);
  await here.query("UPDATE alike SET t = 'whole', i2 = 5 WHERE id <= 4 OR t IS NULL");
  await here.query('DELETE FROM alike WHERE id % 3 = 0');
  await there.query("SELECT meridian.wait_linearizable('60 s')");
  for (const table of ['everything', 'alike']) {
    const query = `SELECT t::text AS row FROM ${table} t ORDER BY 1`;
    const [left, right] = [await here.query(query), await there.query(query)];
    expect(left.rowCount).toBeGreaterThan(3);
    expect(right.rows).toEqual(left.rows);
  }
  await Promise.all([here.end(), there.end()]);
});
