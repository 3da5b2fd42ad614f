/**
 * What is told of any Postgres: from a COMMIT to a linearizable read, with everything real: three journal replicas, two Postgres,
 * a sidecar beside each, all processes of their own. One after the other is killed with -9 under load,
 * and at the end both databases are the same, row by row, and nothing that COMMIT said is missing.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster as Postgres } from '../../libs/postgres/cluster.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { Programs } from '../../libs/postgres/programs.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { Cluster as Journal, TARGET } from '../journal/cluster.ts';

const MAIN = fileURLToPath(new URL('../../dist/services/sidecar/main.js', import.meta.url));
const READY_MS = 60_000;
type Side = 'ship' | 'apply';

const directory = mkdtempSync(join(tmpdir(), 'meridian-sidecars-'));
const journal = new Journal();
const postgres = new Map<Side, Postgres>();
const ports = new Map<Side, number>();
const children = new Map<Side, Child>();

/** Of the file that calls it: one database, one sidecar beside each side, killed and started again. */
export function tellStories(programs: Programs): void {
  beforeAll(async () => {
    chmodSync(directory, 0o755);
    const [a = 0, b = 0, c = 0, d = 0] = await reservePorts(4);
    releasePorts([a, b, c, d]);
    ports.set('ship', a).set('apply', b);
    const sides = [
      ['ship', c],
      ['apply', d],
    ] as const;
    await Promise.all([
      journal.start(),
      ...sides.map(async ([side, port]) => {
        const cluster = await createCluster({
          directory: join(directory, side),
          port,
          settings: { fsync: 'off' },
          programs,
        });
        postgres.set(side, cluster);
        await cluster.start();
      }),
    ]);
  });

  afterAll(async () => {
    for (const child of children.values()) await child.kill();
    for (const cluster of postgres.values()) await cluster.stop('immediate');
    await journal.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test('keeps every acknowledged transaction once and whole while all of it is killed in turn', async () => {
    for (const side of ['ship', 'apply'] as const) {
      const client = await open(side);
      await client.query(`CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
      CREATE TABLE transfer (id int PRIMARY KEY, amount int NOT NULL)`);
      await client.end();
    }
    const primary = await open('ship');
    await primary.query('INSERT INTO account SELECT i, 1000 FROM generate_series(1, 10) i');
    await primary.end();
    await Promise.all([startSidecar('ship'), startSidecar('apply')]);

    const writing = new AbortController();
    const acknowledged: number[] = [];
    const writer = write(writing.signal, acknowledged);
    await grown(acknowledged, 20);
    for (const victim of [
      'sidecar ship',
      'sidecar apply',
      'replica',
      'postgres ship',
      'postgres apply',
    ]) {
      await kill(victim);
      await grown(acknowledged, 20);
    }
    writing.abort();
    await writer;

    const point = await waitApplied();
    expect(point.watermark).toBeGreaterThanOrEqual(point.readPoint);
    const here = await open('ship');
    const there = await open('apply');
    for (const table of ['account', 'transfer']) {
      const query = `SELECT t::text AS row FROM ${table} t ORDER BY id`;
      expect((await there.query(query)).rows).toEqual((await here.query(query)).rows);
    }
    const kept = await there.query<{ id: string }>('SELECT id FROM transfer');
    const ids = new Set(kept.rows.map(({ id }) => Number(id)));
    expect(acknowledged.filter((id) => !ids.has(id))).toEqual([]);
    const total = await there.query('SELECT sum(balance) AS it FROM account');
    expect(total.rows).toEqual([{ it: '10000' }]);
    await Promise.all([here.end(), there.end()]);
  });

  test('a linearizable read on the replica contains what COMMIT has just said', async () => {
    const here = await open('ship');
    const there = await open('apply');
    for (let i = 0; i < 20; i++) {
      await here.query('INSERT INTO transfer VALUES ($1, 0)', [1_000_000 + i]);
      if (i % 2 === 0) await waitApplied();
      else await there.query("SELECT meridian.wait_linearizable('20 s')");
      const found = await there.query('SELECT FROM transfer WHERE id = $1', [1_000_000 + i]);
      expect(found.rowCount).toBe(1);
    }
    await Promise.all([here.end(), there.end()]);
  });

  test('a large transaction arrives whole, in a table that came the same way', async () => {
    const here = await open('ship');
    await here.query(`CREATE TABLE large (id int PRIMARY KEY, a text)`);
    const there = await open('apply');
    await here.query(
      "INSERT INTO large SELECT i, repeat('x', 100) FROM generate_series(1, 40000) i",
    );
    await there.query("SELECT meridian.wait_linearizable('60 s')");
    expect((await there.query('SELECT FROM large')).rowCount).toBe(40_000);
    await Promise.all([here.end(), there.end()]);
  });

  test('holds what pgbench has left at the primary, transaction by transaction', async () => {
    const here = await open('ship');
    await here.query(`CREATE TABLE branches (bid int PRIMARY KEY, bbalance int NOT NULL);
    CREATE TABLE tellers (tid int PRIMARY KEY, bid int NOT NULL, tbalance int NOT NULL);
    CREATE TABLE accounts (aid int PRIMARY KEY, bid int NOT NULL, abalance int NOT NULL, filler char(84));
    CREATE TABLE history (id bigserial PRIMARY KEY, tid int, bid int, aid int, delta int, mtime timestamp);
    INSERT INTO branches SELECT i, 0 FROM generate_series(1, 2) i;
    INSERT INTO tellers SELECT i, 1 + i % 2, 0 FROM generate_series(1, 20) i;
    INSERT INTO accounts SELECT i, 1 + i % 2, 0, '' FROM generate_series(1, 2000) i`);
    const script = join(directory, 'tpcb.sql');
    writeFileSync(script, TPCB);
    const url = postgres.get('ship')?.url() ?? '';
    const args = ['-n', '-c', '4', '-T', '3', '-f', script, url];
    const env = { PGOPTIONS: '-c search_path=public' };
    const child = await spawnChild({ name: 'pgbench', command: 'pgbench', args, env }).catch(
      () => null,
    );
    const processed = child === null ? await likePgbench() : await processedBy(child);
    expect(processed).toBeGreaterThan(10);
    const there = await open('apply');
    await there.query("SELECT meridian.wait_linearizable('60 s')");
    for (const table of ['branches', 'tellers', 'accounts', 'history']) {
      const query = `SELECT t::text AS row FROM ${table} t ORDER BY 1`;
      expect((await there.query(query)).rows).toEqual((await here.query(query)).rows);
    }
    const { rows } = await there.query<Record<string, number>>(
      `SELECT (SELECT count(*)::int FROM history) AS count, (SELECT sum(delta)::int FROM history) AS moved,
       (SELECT sum(abalance)::int FROM accounts) AS a, (SELECT sum(tbalance)::int FROM tellers) AS t,
       (SELECT sum(bbalance)::int FROM branches) AS b`,
    );
    const moved = rows[0]?.['moved'];
    expect(rows).toEqual([{ count: processed, moved, a: moved, t: moved, b: moved }].map(texts));
    await Promise.all([here.end(), there.end()]);
  });
}

const TPCB = `\\set aid random(1, 2000)
\\set bid random(1, 2)
\\set tid random(1, 20)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM accounts WHERE aid = :aid;
UPDATE tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
`;

async function processedBy(child: Child): Promise<number> {
  const { code } = await child.exited;
  const said = child.lastLines(50).join('\n');
  expect(code, said).toBe(0);
  return Number(/transactions actually processed: (\d+)/.exec(said)?.[1]);
}

/** Where there is no pgbench: the same script. */
async function likePgbench(): Promise<number> {
  const [until, sql] = [Date.now() + 3_000, TPCB.slice(TPCB.indexOf('BEGIN'))];
  let count = 0;
  const program = async (number: number): Promise<void> => {
    const client = await open('ship');
    for (let i = number; Date.now() < until; i += 4) {
      const values: Record<string, number> = {
        aid: 1 + (i % 2000),
        bid: 1 + (i % 2),
        delta: i % 99,
      };
      await client.query(
        sql.replace(/:(\w+)/g, (_, name: string) => `${values[name] ?? 1 + (i % 20)}`),
      );
      count += 1;
    }
    await client.end();
  };
  await Promise.all([0, 1, 2, 3].map(program));
  return count;
}

/** As our sessions give values. */
function texts(row: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, String(value)]));
}

/** Moves money between accounts until aborted; a COMMIT that returned is remembered. */
async function write(signal: AbortSignal, acknowledged: number[]): Promise<void> {
  let id = 0;
  while (!signal.aborted) {
    let client: pg.Client;
    try {
      client = await open('ship');
    } catch {
      await sleep(50); // it was killed; its turn comes again
      continue;
    }
    try {
      while (!signal.aborted) {
        id += 1;
        const [from, to] = [1 + (id % 10), 1 + ((id * 3 + 1) % 10)];
        await client.query(
          `BEGIN; UPDATE account SET balance = balance - ${id} WHERE id = ${from};
           UPDATE account SET balance = balance + ${id} WHERE id = ${to};
           INSERT INTO transfer VALUES (${id}, ${id}); COMMIT`,
        );
        acknowledged.push(id);
      }
    } catch {
      // Committed or not: nobody was told, so either is right.
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

/** kill -9, and back again. */
async function kill(victim: string): Promise<void> {
  const [what, which] = victim.split(' ');
  const side: Side = which === 'apply' ? 'apply' : 'ship';
  if (what === 'sidecar') {
    await children.get(side)?.kill();
    await startSidecar(side);
  } else if (what === 'postgres') {
    await postgres.get(side)?.kill();
    await postgres.get(side)?.start();
  } else {
    await journal.kill(1);
    await journal.startReplica(1);
  }
}

async function startSidecar(side: Side): Promise<void> {
  const file = join(directory, `${side}.yaml`);
  const config = {
    ...{ cluster: TARGET.cluster, region: side === 'ship' ? 'r0' : 'r2', roles: [side] },
    listen: `127.0.0.1:${ports.get(side)}`,
    postgres: postgres.get(side)?.url(),
    stream: 'pg.test',
    instance: {
      name: TARGET.instance,
      replicas: journal.clientPorts.map((port, i) => ({
        region: `r${i}`,
        address: `127.0.0.1:${port}`,
      })),
    },
    ...(side === 'ship' ? { ship: { synchronous: true } } : {}),
  };
  writeFileSync(file, JSON.stringify(config));
  const child = await spawnChild({
    name: `sidecar-${side}`,
    command: process.execPath,
    args: [MAIN, '--config', file],
  });
  children.set(side, child);
  const working = side === 'ship' ? 'streaming' : 'applying';
  const probe = async (): Promise<boolean> => {
    const channel = connect(`127.0.0.1:${ports.get(side)}`);
    try {
      const request = { cluster: TARGET.cluster };
      const { ship, apply } = await channel.unary(SidecarService.method.status, request, {
        deadlineMs: 1_000,
      });
      return (ship ?? apply)?.state === working;
    } finally {
      channel.close();
    }
  };
  await child.ready({ probe }, READY_MS);
}

async function waitApplied(): Promise<{ readPoint: bigint; watermark: bigint }> {
  const channel = connect(`127.0.0.1:${ports.get('apply')}`);
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        const request = { cluster: TARGET.cluster };
        return await channel.unary(SidecarService.method.wait, request, { deadlineMs: 20_000 });
      } catch (error) {
        if (attempt === 3) throw error; // it may still be coming back from being killed
      }
    }
  } finally {
    channel.close();
  }
}

async function grown(list: readonly unknown[], by: number): Promise<void> {
  const wanted = list.length + by;
  const deadline = Date.now() + READY_MS;
  while (list.length < wanted) {
    if (Date.now() > deadline) throw new Error(`no further COMMIT returned (${list.length})`);
    await sleep(20);
  }
}

export async function open(side: Side): Promise<pg.Client> {
  const cluster = postgres.get(side);
  if (cluster === undefined) throw new Error('not started');
  const address = cluster.address();
  const client = await connectPostgres({ address, applicationName: 'test' }, () => undefined);
  await client.query('SET search_path = public');
  await client.query('SET synchronous_commit = on');
  return client;
}
