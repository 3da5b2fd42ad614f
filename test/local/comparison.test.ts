/** The comparison that the check ends with, on real databases: it must notice every difference. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { compareDatabases } from '../../services/local/comparison.ts';
import { openDatabase } from '../../services/local/database.ts';
import type { Database } from '../../services/local/database.ts';
import { History } from '../../services/local/history.ts';
import { look, SCHEMA, seed, transfer } from '../../services/local/workload.ts';

let directory: string;
let port: number;
let cluster: Cluster;
let a: Database;
let b: Database;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-comparison-'));
  port = (await reservePorts(1))[0] ?? 0;
  cluster = await createCluster({
    directory,
    port,
    settings: { fsync: 'off' },
  });
  await cluster.start();
});

afterAll(async () => {
  await cluster.stop('immediate');
  releasePorts([port]);
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  const admin = await openDatabase(cluster.address());
  for (const name of ['a', 'b']) {
    await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${name}`);
  }
  await admin.close();
  [a, b] = await Promise.all([
    openDatabase(cluster.address('a')),
    openDatabase(cluster.address('b')),
  ]);
  return async () => {
    await Promise.all([a.close(), b.close()]);
  };
});

async function both(...commands: string[]): Promise<void> {
  for (const command of commands) {
    await a.query(command);
    await b.query(command);
  }
}

async function differences(): Promise<readonly string[]> {
  const comparison = await compareDatabases([
    { name: 'A', database: a },
    { name: 'B', database: b },
  ]);
  return comparison.differences;
}

describe('the comparison', () => {
  it('finds equal databases equal, whatever the order of their rows on disk', async () => {
    await both('CREATE TABLE t (x int, y text, PRIMARY KEY (y, x))', 'CREATE TABLE u (z int)');
    await a.query(`INSERT INTO t VALUES (1, 'p'), (2, NULLIF('q', 'r'))`);
    await b.query(`INSERT INTO t VALUES (2, 'q'), (1, 'p')`);
    const comparison = await compareDatabases([
      { name: 'A', database: a },
      { name: 'B', database: b },
    ]);
    expect(comparison).toEqual({ tables: 2, rows: 2, differences: [] });
  });

  it('notices a row that is missing, one too many, and one that differs only by NULL', async () => {
    await both('CREATE TABLE t (id int PRIMARY KEY, v text)');
    await a.query(`INSERT INTO t VALUES (1, 'same'), (2, 'only in A'), (3, '')`);
    await b.query(`INSERT INTO t VALUES (1, 'same'), (3, NULL), (4, 'only in B')`);
    expect(await differences()).toEqual([
      'public.t (2) is missing in B',
      'public.t (3) is (3,) in B, not (3,"")',
      'public.t (4) is too many in B',
    ]);
  });

  it('counts equal rows of a table without a primary key', async () => {
    await both('CREATE TABLE t (x int)', 'INSERT INTO t VALUES (1), (1)');
    expect(await differences()).toEqual([]);
    await a.query('INSERT INTO t VALUES (1)');
    expect(await differences()).toEqual(['public.t ("(1)",3) is missing in B']);
  });

  it('notices a table that is missing', async () => {
    await a.query('CREATE TABLE t (id int PRIMARY KEY)');
    await expect(differences()).rejects.toThrow(/"public.t" does not exist/);
  });
});

describe('the workload', () => {
  it('writes transfers that a look finds whole, dense and equal to the history', async () => {
    await a.query(SCHEMA);
    await seed(a);
    const history = new History([0, 0]);
    for (let i = 0; i < 12; i++) await transfer(a, history, i % 2);
    expect(await look(a, 2)).toEqual({ heights: [6, 6], counts: [6, 6], tornAccounts: 0 });
    expect(history.known).toEqual([6, 6]);
  });

  it('shows half a transfer as torn accounts', async () => {
    await a.query(SCHEMA);
    await seed(a);
    const history = new History([0]);
    await transfer(a, history, 0);
    await a.query('UPDATE account SET balance = balance + 1 WHERE id = 3');
    expect((await look(a, 1)).tornAccounts).toBe(1);
  });
});
