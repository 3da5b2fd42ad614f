/** Copies of the key-value store in three regions, while replicas of the journal are killed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { journalSource } from '../../libs/applier/journal-source.ts';
import { openKv } from '../../libs/applier/kv/kv.ts';
import type { Kv } from '../../libs/applier/kv/kv.ts';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { at } from '../../libs/values/assert.ts';
import { Cluster, TARGET, until } from '../journal/cluster.ts';
import { violations } from './linearizability.ts';
import type { Action, Operation } from './linearizability.ts';

const REGIONS = ['r0', 'r1', 'r2'] as const;
const KEYS = ['a', 'b', 'c'];
const CLIENTS_PER_REGION = 2;

const cluster = new Cluster();
const directory = mkdtempSync(join(tmpdir(), 'meridian-kv-test-'));
const journals: Journal[] = [];
const stores: Kv[] = [];

async function open(region: string, file: string): Promise<Kv> {
  const replicas = REGIONS.map((name, i) => ({
    region: name,
    address: `127.0.0.1:${cluster.clientPorts[i]}`,
  }));
  const journal = connectJournal({ ...TARGET, replicas, region, silenceMs: 1000 });
  journals.push(journal);
  const source = journalSource(journal, TARGET);
  return openKv({ journal, source, stream: 'kv', file, deadlineMs: 20_000 });
}

beforeAll(async () => {
  await cluster.start();
  for (const region of REGIONS) stores.push(await open(region, join(directory, region)));
});

afterAll(async () => {
  for (const store of stores) await store.close();
  for (const journal of journals) await journal.close({ drainMs: 0 });
  await cluster.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** How a client reads: the second way is the bug that the checker must notice. */
type Reading = 'linearizable' | 'local';

/** Clients in all regions at random on few keys, until told to stop. */
class Workload {
  readonly history: Operation[] = [];
  unanswered = 0;
  #going = true;
  #next = 0;
  readonly #clients: Promise<void>[];
  /** What each client last saw: the value's text and its revision. */
  readonly #reading: Reading;

  constructor(reading: Reading, prefix: string) {
    this.#reading = reading;
    this.#clients = stores.flatMap((kv) =>
      Array.from({ length: CLIENTS_PER_REGION }, () => this.#client(kv, prefix)),
    );
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#clients);
  }

  async #client(kv: Kv, prefix: string): Promise<void> {
    let seen: { key: string; value: string | null; modified: number } | null = null;
    while (this.#going) {
      const key = prefix + at(KEYS, Math.floor(Math.random() * KEYS.length));
      const dice = Math.random();
      if (dice < 0.5 || seen === null) {
        const entry = await this.#get(kv, key);
        if (entry !== undefined) {
          seen = { key, value: entry?.value ?? null, modified: entry?.modified ?? 0 };
        }
      } else if (dice < 0.75) await this.#put(kv, key);
      else {
        await this.#swap(kv, seen);
        seen = null;
      }
    }
  }

  async #get(kv: Kv, key: string) {
    const began = performance.now();
    try {
      const entry = this.#reading === 'local' ? kv.getLocal(key) : await kv.get(key);
      this.#note(key, began, performance.now(), { kind: 'get', result: entry?.value ?? null });
      return entry;
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      return undefined;
    } finally {
      if (this.#reading === 'local') await new Promise(setImmediate);
    }
  }

  async #put(kv: Kv, key: string): Promise<void> {
    const value = this.#value();
    const began = performance.now();
    const ended = await this.#attempt(() => kv.put(key, value));
    if (ended !== null) this.#note(key, began, ended.at, { kind: 'put', value });
  }

  async #swap(
    kv: Kv,
    { key, value: expected, modified }: { key: string; value: string | null; modified: number },
  ): Promise<void> {
    const value = this.#value();
    const began = performance.now();
    const ended = await this.#attempt(() => kv.compareAndSwap(key, modified, value));
    if (ended === null) return;
    const changed = ended.result?.changed ?? null;
    this.#note(key, began, ended.at, { kind: 'swap', expected, value, changed });
  }

  /** null: certainly without effect. */
  async #attempt<T>(
    call: () => Promise<T>,
  ): Promise<{ readonly at: number; readonly result: T | null } | null> {
    try {
      const result = await call();
      return { at: performance.now(), result };
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      if (error.noEffect) return null;
      this.unanswered += 1;
      return { at: Infinity, result: null };
    }
  }

  #note(key: string, began: number, ended: number, action: Action): void {
    this.history.push({ key, began, ended, action });
  }

  #value(): string {
    this.#next += 1;
    return `v${this.#next}`;
  }
}

describe('copies of the key-value store in three regions', () => {
  it('are linearizable while replicas of the journal are killed and come back', async () => {
    const workload = new Workload('linearizable', 'x');
    const grown = async (by: number): Promise<void> => {
      const goal = workload.history.length + by;
      await until(() => workload.history.length >= goal);
    };
    await grown(300);
    await cluster.kill(1);
    await grown(300);
    await cluster.startReplica(1);
    await grown(200);
    await cluster.kill(0);
    await grown(300);
    await cluster.startReplica(0);
    await grown(100);
    await workload.stop();
    expect(violations(workload.history)).toEqual([]);
    const swaps = workload.history.filter(({ action }) => action.kind === 'swap' && action.changed);
    expect(swaps.length).toBeGreaterThan(20);
    expect(workload.unanswered).toBeLessThan(workload.history.length / 10);
  });

  it('are equal in the end, also one that is new and one that comes from its snapshot', async () => {
    const [first] = stores;
    await first?.close();
    const again = await open('r0', join(directory, 'r0'));
    const fresh = await open('r2', join(directory, 'new'));
    stores[0] = again;
    stores.push(fresh);
    const keys = await fresh.keys('x');
    expect(keys.length).toBe(KEYS.length);
    for (const key of keys) {
      const entries = await Promise.all(stores.map((store) => store.get(key)));
      for (const entry of entries) expect(entry).toEqual(entries[0]);
    }
    stores.pop();
    await fresh.close();
  });

  it('would be found out if they read without waiting for the newest state', async () => {
    const workload = new Workload('local', 'y');
    await until(() => workload.history.length >= 1500);
    await workload.stop();
    expect(violations(workload.history)).not.toEqual([]);
  });

  it('give a watcher in another region every change once and in order', async () => {
    const [near, far] = [at(stores, 0), at(stores, 2)];
    const seen: [number, string][] = [];
    const watching = (async () => {
      for await (const { revision, entry } of far.watch('w/')) {
        seen.push([revision, entry?.value ?? '']);
        if (seen.length === 50) break;
      }
    })();
    await Promise.all(Array.from({ length: 50 }, (_, i) => near.put(`w/${i % 7}`, `w${i}`)));
    await watching;
    const revisions = seen.map(([revision]) => revision);
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
    expect(new Set(seen.map(([, value]) => value)).size).toBe(50);
  });
});
