/**
 * `npm run bench -- crossbar`: how fast a crossbar merges, against the number of instances and of
 * subscribers. First the journals are filled; then, in the same run, one instance is read plainly
 * (the yardstick), and the same records through a crossbar by subscribers that begin at the beginning.
 * Then a trickle is appended, to see how much later than at a replica a record arrives at a crossbar.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Crossbars } from '../../libs/applier/crossbars.ts';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { DeliveryWalker } from '../../libs/frames/delivery-walker.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { LatencyRecorder, round } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import { at } from '../../libs/values/assert.ts';
import type { Instance } from './instance.ts';
import { CLUSTER, startInstance } from './instance.ts';

export interface CrossbarBenchOptions {
  /** Length of the trickle. */
  readonly seconds: number;
  /** Of a record's body. */
  readonly bytes: number;
  /** Per instance. */
  readonly records: number;
  readonly instances: readonly number[];
  readonly subscribers: readonly number[];
}

interface Row {
  readonly instances: number;
  readonly subscribers: number;
  /** Of the merged order, as each subscriber receives it. */
  readonly recordsPerSecond: number;
  /** Over all subscribers. */
  readonly deliveredPerSecond: number;
  /** Records of the merged order against the plain read of one instance. */
  readonly shareOfPlainRead: number;
  /** From the call of the append until it arrives: by a plain read, and through the crossbar. */
  readonly plain: Figures;
  readonly merged: Figures;
}

const PROGRAM = fileURLToPath(new URL('../crossbar/main.js', import.meta.url));
const READY_MS = 30_000;
const FILL_INFLIGHT = 512;
const TRICKLE_MS = 5;
const REGION = 'a';

export async function benchCrossbar(options: CrossbarBenchOptions): Promise<object> {
  const most = Math.max(...options.instances);
  const instances: Instance[] = [];
  const journals: Journal[] = [];
  const rows: Row[] = [];
  let plainPerSecond = 0;
  try {
    for (let i = 0; i < most; i += 1) instances.push(await startInstance(`i${i + 1}`));
    for (const { cluster, name, replicas } of instances) {
      journals.push(connectJournal({ cluster, instance: name, replicas, region: REGION }));
    }
    for (const journal of journals) await fill(journal, options);
    // Twice: the first run compiles.
    await readPlainly(at(journals, 0), options.records);
    plainPerSecond = await readPlainly(at(journals, 0), options.records);
    console.log(`plain read of one instance: ${plainPerSecond} records/s`);
    for (const count of options.instances) {
      const used = { instances: instances.slice(0, count), journals: journals.slice(0, count) };
      for (const subscribers of options.subscribers) {
        const row = await measure(used, subscribers, plainPerSecond, options);
        rows.push(row);
        print(rows.length, row);
      }
    }
  } finally {
    for (const journal of journals) await journal.close({ drainMs: 0 });
    for (const instance of instances) await instance.stop();
  }
  const { bytes, records, seconds } = options;
  return { bench: 'crossbar', bytes, records, seconds, plainPerSecond, rows };
}

interface Used {
  readonly instances: readonly Instance[];
  readonly journals: readonly Journal[];
}

async function measure(
  used: Used,
  subscribers: number,
  plainPerSecond: number,
  options: CrossbarBenchOptions,
): Promise<Row> {
  const crossbar = await startCrossbar(used.instances);
  try {
    const expected = options.records * used.instances.length;
    // Once before, for the compiler.
    await readMerged(crossbar.address, 1, expected);
    const recordsPerSecond = await readMerged(crossbar.address, subscribers, expected);
    const { plain, merged } = await trickle(used, crossbar.address, options);
    return {
      instances: used.instances.length,
      subscribers,
      recordsPerSecond,
      deliveredPerSecond: recordsPerSecond * subscribers,
      shareOfPlainRead: round(recordsPerSecond / plainPerSecond),
      plain,
      merged,
    };
  } finally {
    await crossbar.stop();
  }
}

async function fill(journal: Journal, { records, bytes }: CrossbarBenchOptions): Promise<void> {
  const body = new Uint8Array(bytes).fill(120);
  let left = records;
  const writers = Array.from({ length: FILL_INFLIGHT }, async () => {
    while (left > 0) {
      left -= 1;
      await journal.append('fill', [{ body }]);
    }
  });
  await Promise.all(writers);
}

function countRecords(frames: Uint8Array): number {
  const walker = new DeliveryWalker(frames);
  let count = 0;
  while (walker.next()) count += walker.recordCount;
  return count;
}

/** Records per second of the stream that was filled, from the beginning, without a crossbar. */
function readPlainly(journal: Journal, records: number): Promise<number> {
  const started = performance.now();
  let seen = 0;
  return new Promise((resolve, reject) => {
    const following = journal.follow(
      { from: 'start', follow: true },
      {
        onBatches: (frames) => {
          seen += countRecords(frames);
          if (seen < records) return;
          following.cancel();
          resolve(perSecond(seen, started));
        },
        onProgress: () => undefined,
        onGap: () => undefined,
        onEnd: reject,
      },
    );
  });
}

/** Records per second of the slowest of the subscribers, each on a connection of its own. */
async function readMerged(address: string, subscribers: number, records: number): Promise<number> {
  const started = performance.now();
  const each = Array.from({ length: subscribers }, () => {
    const crossbars = new Crossbars({ cluster: CLUSTER, crossbars: [address] });
    let seen = 0;
    return new Promise<number>((resolve, reject) => {
      crossbars.subscribe(
        { after: null, streams: [], keys: [] },
        {
          onBatches: (frames) => {
            seen += countRecords(frames);
            if (seen < records) return;
            resolve(perSecond(seen, started));
          },
          onProgress: () => undefined,
          onGap: () => undefined,
          onEnd: reject,
        },
      );
    }).finally(() => {
      crossbars.close();
    });
  });
  return Math.min(...(await Promise.all(each)));
}

/** A few records a second to every instance: from the call of the append until they arrive. */
async function trickle(
  { journals }: Used,
  address: string,
  { seconds }: CrossbarBenchOptions,
): Promise<{ plain: Figures; merged: Figures }> {
  const crossbars = new Crossbars({ cluster: CLUSTER, crossbars: [address] });
  const { cursor } = await crossbars.heartbeat();
  const arrivals = { plain: new Map<string, number>(), merged: new Map<string, number>() };
  const note =
    (into: Map<string, number>, number: number | null) =>
    (frames: Uint8Array): void => {
      const now = performance.now();
      const walker = new DeliveryWalker(frames);
      while (walker.next()) {
        if (decodeBatchHeader(walker.batch).stream !== 'trickle') continue;
        into.set(`${number ?? walker.instance}/${walker.timestamp}`, now);
      }
    };
  crossbars.subscribe(
    { after: cursor, streams: [], keys: [] },
    {
      onBatches: note(arrivals.merged, null),
      onProgress: () => undefined,
      onGap: () => undefined,
      onEnd: () => undefined,
    },
  );
  const followings = journals.map((journal, i) =>
    journal.follow(
      { from: 'end', follow: true },
      {
        onBatches: note(arrivals.plain, i + 1),
        onProgress: () => undefined,
        onGap: () => undefined,
        onEnd: () => undefined,
      },
    ),
  );
  const sent = new Map<string, number>();
  const end = performance.now() + seconds * 1000;
  await Promise.all(
    journals.map(async (journal, i) => {
      while (performance.now() < end) {
        const began = performance.now();
        const { timestamp } = await journal.append('trickle', [{ body: Buffer.from('x') }]);
        sent.set(`${i + 1}/${timestamp}`, began);
        await new Promise((resolve) => setTimeout(resolve, TRICKLE_MS));
      }
    }),
  );
  const { readPoint } = await crossbars.heartbeat({ wait: true });
  await crossbars.waitFor(readPoint);
  await new Promise((resolve) => setTimeout(resolve, 20 * TRICKLE_MS));
  for (const following of followings) following.cancel();
  crossbars.close();
  return { plain: figures(sent, arrivals.plain), merged: figures(sent, arrivals.merged) };
}

function figures(sent: ReadonlyMap<string, number>, arrived: ReadonlyMap<string, number>): Figures {
  const recorder = new LatencyRecorder();
  for (const [place, began] of sent) {
    const at = arrived.get(place);
    if (at !== undefined) recorder.record((at - began) * 1000);
  }
  return recorder.figures(null);
}

async function startCrossbar(
  instances: readonly Instance[],
): Promise<{ readonly address: string; stop(): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-bench-crossbar-'));
  const ports = await reservePorts(1);
  const address = `127.0.0.1:${at(ports, 0)}`;
  const file = join(directory, 'crossbar.json');
  const config = {
    cluster: CLUSTER,
    region: REGION,
    listen: address,
    instances: instances.map(({ name, replicas }, i) => ({ name, number: i + 1, replicas })),
  };
  // YAML reads JSON.
  writeFileSync(file, JSON.stringify(config));
  releasePorts(ports);
  const child: Child = await spawnChild({
    name: 'crossbar',
    command: process.execPath,
    args: [...extraArguments(), PROGRAM, '--config', file],
  });
  const stop = async (): Promise<void> => {
    await child.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await child.ready({ line: /"msg":"following every instance"/ }, READY_MS);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address, stop };
}

function extraArguments(): string[] {
  const given = process.env['MERIDIAN_BENCH_NODE_ARGUMENTS'] ?? '';
  return given === '' ? [] : given.split(' ');
}

function perSecond(records: number, started: number): number {
  return Math.round((records * 1000) / (performance.now() - started));
}

function print(number: number, row: Row): void {
  const columns = [10, 12, 12, 14, 10, 24, 24];
  const line = (cells: readonly string[]): void => {
    console.log(cells.map((cell, i) => cell.padStart(columns[i] ?? 0)).join(''));
  };
  if (number === 1) {
    line([
      ...['instances', 'subscribers', 'merged/s', 'delivered/s', 'of plain'],
      ...['plain p50/p99 ms', 'merged p50/p99 ms'],
    ]);
  }
  line([
    ...[row.instances, row.subscribers, row.recordsPerSecond, row.deliveredPerSecond].map(String),
    row.shareOfPlainRead.toFixed(2),
    `${row.plain.p50Ms}/${row.plain.p99Ms}`,
    `${row.merged.p50Ms}/${row.merged.p99Ms}`,
  ]);
}
