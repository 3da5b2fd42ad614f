/**
 * For tests: a real Postgres on both sides, and between them the change format: session → encoder →
 * batches in memory → applier. What the journal would hold is an array here. Every test has a database
 * of its own on both sides.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { Applier } from './applier.ts';
import type { IncomingBatch } from './applier.ts';
import { createCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { connectPostgres } from './connection.ts';
import type { PostgresAddress } from './connection.ts';
import { ensureDefinitionTriggers } from './definition-triggers.ts';
import { LSN_ZERO } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import { ReplicationSession } from './replication-session.ts';
import { readSnapshot } from './snapshot.ts';
import type { CopyProgress } from './snapshot.ts';
import {
  createSlot,
  dropSlot,
  ensurePublication,
  identifySource,
  preflightSource,
  slotState,
} from './source.ts';
import { PART_LIMITS, PartBuilder, TransactionEncoder } from './transaction-encoder.ts';
import type { PartLimits } from './transaction-encoder.ts';

export const SLOT = 'meridian_test';

/** Of the test framework, which only test files may import. */
export interface Hooks {
  readonly beforeAll: (run: () => Promise<void>) => void;
  readonly afterAll: (run: () => Promise<void>) => void;
  readonly beforeEach: (run: () => Promise<void>) => void;
  readonly afterEach: (run: () => Promise<void>) => void;
}

/** Starts and stops with the test file; the fields are those of the running test. */
export function replicationPair(hooks: Hooks): ReplicationPair {
  const pair = new ReplicationPair();
  hooks.beforeAll(() => pair.startClusters());
  hooks.afterAll(() => pair.stopClusters());
  hooks.beforeEach(() => pair.begin());
  hooks.afterEach(() => pair.end());
  return pair;
}

export class ReplicationPair {
  sql!: pg.Client;
  replica!: pg.Client;
  feed!: Feed;
  applier!: Applier;
  database = '';
  #source!: Cluster;
  #target!: Cluster;
  #running: (() => Promise<unknown>)[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), 'meridian-replication-'));
  #number = 0;

  get sourceAddress(): PostgresAddress {
    return this.#source.address(this.database);
  }

  get targetAddress(): PostgresAddress {
    return this.#target.address(this.database);
  }

  async startClusters(): Promise<void> {
    const [source, target] = await Promise.all(
      ['source', 'target'].map(async (name) => {
        const directory = join(this.#directory, name);
        const port = await freePort();
        const cluster = await createCluster({ directory, port, settings: { fsync: 'off' } });
        await cluster.start();
        return cluster;
      }),
    );
    if (source === undefined || target === undefined) throw new Error('two clusters were made');
    this.#source = source;
    this.#target = target;
  }

  async stopClusters(): Promise<void> {
    await this.#source.stop('immediate');
    await this.#target.stop('immediate');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async begin(): Promise<void> {
    this.#number += 1;
    this.database = `d${this.#number}`;
    for (const cluster of [this.#source, this.#target]) {
      const admin = await connectPostgres({ address: cluster.address(), applicationName: 'test' });
      await admin.query(`CREATE DATABASE ${this.database}`);
      await admin.end();
    }
    this.sql = await connectPostgres({ address: this.sourceAddress, applicationName: 'test' });
    this.replica = await connectPostgres({ address: this.targetAddress, applicationName: 'test' });
    for (const client of [this.sql, this.replica]) await client.query('SET search_path = public');
  }

  async end(): Promise<void> {
    for (const stop of this.#running.splice(0).reverse()) await stop();
    const slot = await slotState(this.sql, SLOT);
    if (slot !== null) await dropSlot(this.sql, SLOT);
    // A cluster has room for few, and every test here is another database.
    await this.replica.query(
      'SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin',
    );
    await this.sql.end();
    await this.replica.end();
  }

  /** Both sides get the same definitions, as before a first start. */
  async define(ddl: string): Promise<void> {
    await this.sql.query(ddl);
    await this.replica.query(ddl);
  }

  async start(limits: PartLimits = PART_LIMITS): Promise<void> {
    await preflightSource(this.sql);
    await ensurePublication(this.sql, SLOT, 'all');
    assert(await ensureDefinitionTriggers(this.sql));
    const feed = await Feed.start(this.sourceAddress, limits);
    this.feed = feed;
    this.#running.push(() => feed.stop());
    await this.reopen();
  }

  async reopen(): Promise<void> {
    const options = { address: this.targetAddress, name: this.database };
    const applier = await Applier.open(options, () => undefined);
    this.applier = applier;
    this.#running.push(() => applier.close());
    this.feed.applied = applier.position.journal.timestamp;
  }

  /** What was committed so far and is not applied. */
  async waiting(): Promise<readonly IncomingBatch[]> {
    await this.sql.query("SELECT pg_logical_emit_message(true, 'test', 'here')");
    const { rows } = await this.sql.query<{ l: string }>(
      'SELECT pg_current_wal_flush_lsn()::text AS l',
    );
    const it = this.feed;
    await it.passed(rows[0]?.l ?? '');
    return it.batches.slice(it.applied);
  }

  /** Everything committed so far is applied. */
  async caughtUp(): Promise<void> {
    const it = this.feed;
    const end = it.applied + (await this.waiting()).length;
    while (it.applied < end) {
      const next = it.batches.slice(it.applied, Math.min(end, it.applied + 7));
      await this.applier.stage(next);
      it.applied += next.length;
    }
    await this.applier.committed();
  }

  async expectSame(table: string): Promise<void> {
    const query = `SELECT t::text AS row FROM ${table} t ORDER BY 1`;
    const [here, there] = await Promise.all([this.sql.query(query), this.replica.query(query)]);
    assert.deepEqual(there.rows, here.rows);
  }
}

/** What the shipper will be, without a journal. */
export class Feed {
  readonly batches: IncomingBatch[] = [];
  /** What the initial copy said of itself. */
  readonly copy: CopyProgress[] = [];
  applied = 0;
  #end = LSN_ZERO;
  #session: ReplicationSession | null = null;
  #waiting: (() => void)[] = [];

  static async start(address: PostgresAddress, limits: PartLimits): Promise<Feed> {
    const feed = new Feed();
    const maker = await connectPostgres({ address, applicationName: 'x', replication: 'database' });
    const identity = await identifySource(maker);
    const { from, snapshot } = await createSlot(maker, SLOT);
    const copy = new PartBuilder(
      { source: identity, snapshot: true, attempt: 1, xid: 0, commitLsn: from, commitTime: 1 },
      limits,
    );
    const onProgress = (progress: CopyProgress): void => {
      feed.copy.push(progress);
    };
    const options = { address, applicationName: 'x' };
    for await (const message of readSnapshot(options, snapshot, SLOT, onProgress)) {
      for (const part of copy.add(message) ?? []) feed.#put(part.records);
    }
    feed.#put(copy.finish(from).records);
    await maker.end();
    const encoder = new TransactionEncoder({ source: identity, attempt: 1, after: from, limits });
    feed.#session = await ReplicationSession.start(
      { address, applicationName: 'x', slot: SLOT, publication: SLOT, from },
      {
        message: (bytes) => {
          for (const out of encoder.push(bytes)) {
            if (out.kind === 'part') feed.#put(out.records);
            if (out.kind === 'skipped' || out.header.final) {
              feed.#reach(out.kind === 'skipped' ? out.endLsn : out.header.endLsn);
            }
          }
        },
        keepalive: (end) => {
          feed.#reach(end);
        },
        ended: () => undefined,
      },
    );
    return feed;
  }

  async passed(text: string): Promise<void> {
    const [high, low] = text.split('/').map((part) => parseInt(part, 16));
    const wanted = (high ?? 0) * 0x1_0000_0000 + (low ?? 0);
    while (this.#end < wanted) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async stop(): Promise<void> {
    await this.#session?.close();
  }

  #put(records: readonly Uint8Array[]): void {
    const timestamp = this.batches.length + 1;
    this.batches.push({
      position: { instance: 0, timestamp, recordOffset: 0, cursor: null },
      records,
    });
  }

  #reach(end: Lsn): void {
    this.#end = end;
    this.#session?.confirm(end);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Free a moment ago: nothing holds it. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
