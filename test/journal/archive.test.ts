/**
 * Three replicas that share a bucket: what leaves their logs is in the archive, reads go through both, the
 * store is away for a while and nobody who appends notices.
 */
import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultyS3 } from '../../libs/archive/faulty-s3.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { Cluster, RawSession, batchOf, readAll, readSettled, until } from './cluster.ts';
import type { ReadResult } from './cluster.ts';

const BATCHES = 300;
/** After an outage an archiver waits up to half a minute before it looks again. */
const PATIENCE_MS = 200_000;
/** Sent at once: they share entries. */
const GROUP = 6;
const RESTORE = fileURLToPath(
  new URL('../../dist/services/journal/restore-main.js', import.meta.url),
);
const MERIDIAN = fileURLToPath(new URL('../../dist/services/cli/main.js', import.meta.url));
const BODY = 'x'.repeat(2000);

let s3: FaultyS3;
let metricsPort = 0;
const cluster = new (class extends Cluster {
  override configOf(replica: number): Record<string, unknown> {
    const metrics = replica === 0 ? { metricsListen: `127.0.0.1:${metricsPort}` } : {};
    return { ...super.configOf(replica), ...metrics };
  }
})();

beforeAll(async () => {
  s3 = await FaultyS3.start();
  const ports = await reservePorts(1);
  releasePorts(ports);
  metricsPort = ports[0] ?? 0;
  cluster.env['AWS_ACCESS_KEY_ID'] = 'test';
  cluster.env['AWS_SECRET_ACCESS_KEY'] = 'test';
  cluster.overrides['limits'] = { segmentBytes: 65_536, checkpointBytes: 65_536 };
  cluster.overrides['archive'] = {
    url: 's3://bucket/orders',
    endpoint: s3.endpoint,
    pathStyle: true,
    localBytes: 131_072,
    segmentBytes: 50_000,
    windowMs: 500,
    pollMs: 50,
    turnMs: 200,
    timeoutMs: 2000,
    cacheBytesMax: 1024 * 1024,
  };
  await cluster.start();
});

afterAll(async () => {
  await cluster.stop();
  await s3.stop();
});

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const found = text
    .split('\n')
    .find((line) => line.startsWith(`meridian_journal_archive_${name} `));
  return Number(found?.split(' ')[1] ?? NaN);
}

async function fill(from: number): Promise<void> {
  const session = new RawSession(cluster.channel(0));
  for (let i = from; i < from + BATCHES; i += 1) {
    session.sendFrames(batchOf(i % 5 === 0 ? 'rare' : 'often', `${i} ${BODY}`));
    if (i % GROUP === GROUP - 1) await session.whenAnswered(i - from + 1);
  }
  session.end();
}

/** The first so many segments of the replica's log are gone. */
const firstSegment = (replica: number): number =>
  Math.min(
    ...readdirSync(cluster.dataOf(replica)).flatMap((name) =>
      /^\d+\.log$/.test(name) ? [parseInt(name, 10)] : [],
    ),
  );

/** Runs to its end, which must be a good one; returns the JSON it printed behind any warnings. */
async function run(name: string, args: readonly string[]): Promise<string> {
  const { env } = cluster;
  const child = await spawnChild({ name, command: process.execPath, args, env });
  const { code } = await child.exited;
  expect(code, child.lastLines(5).join('\n')).toBe(0);
  const lines = child.lastLines(Infinity);
  return lines.slice(lines.findIndex((line) => line.startsWith('{'))).join('\n');
}

const restore = async (replica: number, directory: string): Promise<Restored> => {
  const place = { url: 's3://bucket/orders', endpoint: s3.endpoint, pathStyle: true };
  const task = { ...place, directory, replica, generation: 1 };
  return JSON.parse(await run(`restore-${replica}`, [RESTORE, JSON.stringify(task)])) as Restored;
};

interface Restored {
  readonly hash: string;
  readonly timestamp: number;
  readonly entries: number;
}

const order = ({ lines }: ReadResult): string[] => lines.map((line) => line.slice(0, 60));

describe('a journal with an archive', { timeout: 2 * PATIENCE_MS }, () => {
  let whole: string[] = [];

  it('lets old log go and serves it from the archive, whole and by stream, on every replica', async () => {
    await fill(0);
    whole = order(await readSettled(cluster, 0));
    expect(whole).toHaveLength(BATCHES);
    await until(() => [0, 1, 2].every((replica) => firstSegment(replica) > 3));
    for (const replica of [0, 1, 2]) {
      const channel = cluster.channel(replica);
      expect(order(await readSettled(cluster, replica))).toEqual(whole);
      const rare = order(await readAll(channel, { stream: 'rare' }));
      expect(rare).toEqual(whole.filter((line) => line.includes(' rare#')));
      const from = order(
        await readAll(channel, { stream: 'often', from: { case: 'seqNum', value: 17n } }),
      );
      expect(from).toEqual(whole.filter((line) => line.includes(' often#')).slice(17));
    }
    expect(await metric('fetches_total')).toBeGreaterThan(0);
    expect(await metric('cache_bytes')).toBeLessThanOrEqual(1024 * 1024);
  });

  it('wrote every object once, with equal content for the three of them', () => {
    const puts = s3.calls.filter(
      ({ method, key }) => method === 'PUT' && key.includes('manifests/'),
    );
    const manifests = [...s3.objects.keys()].filter((key) => key.includes('manifests/'));
    expect(puts.length).toBeLessThan(3 * manifests.length);
    for (const replica of [0, 1, 2]) {
      expect(cluster.child(replica).lastLines(Infinity).join()).not.toContain(
        'ARCHIVING HAS STOPPED',
      );
    }
  });

  it('appends go on while the store is away; no log goes meanwhile; then the backlog drains', async () => {
    let faults = 0;
    s3.fault = () =>
      (['reset', 'slow-down', 'expired', 'hang'] as const)[(faults += 1) % 4] ?? null;
    const archived = await metric('timestamp_seconds');
    await fill(BATCHES);
    expect(await metric('timestamp_seconds')).toBe(archived);
    await until(async () => (await metric('backlog_entries')) > BATCHES / 10, PATIENCE_MS);
    const kept = firstSegment(0);
    s3.fault = () =>
      Math.random() < 0.2
        ? ((['error-after', 'lost-answer', 'cut-body', 'empty'] as const)[(faults += 1) % 4] ??
          null)
        : null;
    await until(async () => (await metric('timestamp_seconds')) > archived, PATIENCE_MS);
    s3.fault = () => null;
    await until(async () => (await metric('backlog_entries')) < BATCHES / 12, PATIENCE_MS);
    await fill(2 * BATCHES);
    await until(() => firstSegment(0) > kept);
    whole = order(await readSettled(cluster, 1));
    expect(whole).toHaveLength(3 * BATCHES);
    expect(order(await readSettled(cluster, 0))).toEqual(whole);
  });

  it('a replica that was killed serves the same from its log and the archive', async () => {
    await cluster.kill(2);
    await cluster.startReplica(2);
    await until(async () => order(await readSettled(cluster, 2)).length === whole.length);
    expect(order(await readSettled(cluster, 2))).toEqual(whole);
  });

  it('is built from the bucket alone, up to the last archived position, and goes on', async () => {
    await until(async () => (await metric('backlog_entries')) === 0, PATIENCE_MS);
    await Promise.all([0, 1, 2].map((replica) => cluster.kill(replica)));
    const hashes = new Set<string>();
    for (const replica of [0, 1, 2]) {
      rmSync(cluster.dataOf(replica), { recursive: true });
      const restored = await restore(replica, cluster.dataOf(replica));
      expect(`${restored.timestamp}`).toBe(whole.at(-1)?.split(' ')[0]);
      hashes.add(restored.hash);
    }
    expect(hashes.size).toBe(1);
    await Promise.all([0, 1, 2].map((replica) => cluster.startReplica(replica)));
    expect(order(await readSettled(cluster, 1))).toEqual(whole);
    await fill(3 * BATCHES);
    for (const replica of [0, 1, 2]) {
      const now = order(await readSettled(cluster, replica));
      expect(now.slice(0, whole.length)).toEqual(whole);
      expect(now).toHaveLength(whole.length + BATCHES);
    }
    await until(async () => (await metric('backlog_entries')) < BATCHES / 10, PATIENCE_MS);
  });

  it('a janitor deletes beside the replicas: reads begin with a gap, and a restore behind it', async () => {
    await until(async () => (await metric('backlog_entries')) === 0, PATIENCE_MS);
    const all = order(await readSettled(cluster, 1));
    const before = await restore(0, `${cluster.directory}/whole`);
    const options = ['--endpoint', s3.endpoint, '--path-style', '--grace', '0s', '-o', 'json'];
    const clean = ['archive', 'clean', 's3://bucket/orders', '--max-size', '500KB', ...options];
    const first = JSON.parse(await run('clean', [MERIDIAN, ...clean])) as { goneTo: number };
    expect(first.goneTo).toBeGreaterThan(0);
    const segments = [...s3.objects.keys()].filter((key) => key.includes('segments/'));
    await run('clean', [MERIDIAN, ...clean]);
    const left = [...s3.objects.keys()].filter((key) => key.includes('segments/'));
    expect(left.length).toBeLessThan(segments.length);
    for (const replica of [0, 1, 2]) {
      await until(async () => order(await readSettled(cluster, replica)).length < all.length);
      const read = order(await readSettled(cluster, replica));
      expect(read).toEqual(all.slice(-read.length));
      expect(Number(read[0]?.split(' ')[0])).toBeGreaterThan(first.goneTo);
    }
    const after = await restore(0, `${cluster.directory}/behind`);
    expect(after).toMatchObject({ hash: before.hash, entries: before.entries });
  });
});
