/**
 * `npm run bench -- memory`: does the memory of replicas stay flat (P7)? One instance is put through what
 * should not make it grow, each for `seconds`: a steady load with one replica dead, a hundred readers that
 * take a message a second, a flood of far more than it takes. Caches are filled before, so that what is seen
 * is not their filling. Then, in a new instance, what may cost a stated amount: 100,000 streams.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Appender } from '../../libs/client/appender.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { ReadStream } from '../../libs/rpc/rpc.ts';
import { round } from '../../libs/telemetry/figures.ts';
import { Client } from './client.ts';
import type { Instance } from './instance.ts';
import { requireAllRunning, startInstance } from './instance.ts';
import { closedLoop, openLoop } from './load.ts';
import { cacheIsFull, memoryOf, sampled } from './memory-samples.ts';
import type { Memory, Series } from './memory-samples.ts';

export const MEMORY_PHASES = ['steady', 'dead', 'slow', 'flood', 'streams'] as const;
export type MemoryPhase = (typeof MEMORY_PHASES)[number];

export interface MemoryBenchOptions {
  /** Which of them, always in this order. */
  readonly phases: readonly MemoryPhase[];
  /** Length of each phase. */
  readonly seconds: number;
  readonly bytes: number;
  /** Appends per second of the steady load. */
  readonly rate: number;
  readonly streams: number;
}

interface Phase {
  readonly phase: string;
  readonly replicas: readonly Series[];
}

const VICTIM = 2;
const FILL_INFLIGHT = 256;
const SLOW_READERS = 100;
const FLOOD_CLIENTS = 10;
/** Bytes under way of each of them: together more than a replica admits. */
const FLOOD_BYTES = 16 * 1024 * 1024;
const STREAMS_INFLIGHT = 512;
const SETTLE_SECONDS = 15;
const SETTLE_RATE = 200;
const DEADLINE_MS = 120_000;

export async function benchMemory(options: MemoryBenchOptions): Promise<object> {
  const phases = options.phases.some((phase) => phase !== 'streams')
    ? await underLoad(options)
    : [];
  const streamMebibytes = options.phases.includes('streams') ? await ofStreams(options) : null;
  return { bench: 'memory', ...options, phases, streamMebibytes };
}

async function underLoad(options: MemoryBenchOptions): Promise<Phase[]> {
  const { seconds, bytes, rate } = options;
  const has = (phase: MemoryPhase): boolean => options.phases.includes(phase);
  const instance = await startInstance('memory');
  const keepers = keepersOf(instance);
  const phases: Phase[] = [];
  const client = new Client(instance, { bytes });
  const load = client.load(seconds);
  const run = async (phase: string, work: () => Promise<unknown>): Promise<void> => {
    const replicas = await sampled(keepers, work);
    phases.push({ phase, replicas });
    for (const one of replicas) console.log(rowText(phase, one));
  };
  try {
    while (!(await allFull(keepers))) {
      await closedLoop(client.load(2), FILL_INFLIGHT);
    }
    if (has('steady')) await run('steady', () => openLoop(load, rate));
    if (has('dead')) {
      const victim = instance.children[VICTIM];
      await victim?.kill();
      await run('one replica dead', () => openLoop(load, rate));
      await victim?.start();
      await pause(SETTLE_SECONDS * 1000);
    }
    if (has('slow')) {
      await run('a hundred slow readers', async () => {
        const stop = slowReaders(instance);
        await openLoop(load, rate);
        stop();
      });
    }
    if (has('flood')) {
      await run('flood', () => flood(instance, bytes, seconds));
      await run('after it', () => openLoop(client.load(SETTLE_SECONDS), rate));
    }
    await requireAllRunning(instance);
  } finally {
    client.close();
    await instance.stop();
  }
  return phases;
}

/**
 * What the streams cost each replica of a new instance, MiB: resident and used memory when they exist, above
 * what it was before. The entries that made them are in it, which the cache keeps as any others.
 */
async function ofStreams({ streams }: MemoryBenchOptions): Promise<Record<string, Memory>> {
  const instance = await startInstance('streams');
  const keepers = keepersOf(instance);
  const client = new Client(instance, { bytes: 16 });
  const load = client.load(SETTLE_SECONDS);
  try {
    const before = await least(keepers, () => openLoop(load, SETTLE_RATE));
    await fillStreams(client.appender, streams);
    const after = await least(keepers, () => openLoop(load, SETTLE_RATE));
    await requireAllRunning(instance);
    return Object.fromEntries(
      [...keepers.keys()].map((replica) => {
        const [was, is] = [before.get(replica), after.get(replica)];
        const resident = round((is?.resident ?? NaN) - (was?.resident ?? NaN));
        return [replica, { resident, used: round((is?.used ?? NaN) - (was?.used ?? NaN)) }];
      }),
    );
  } finally {
    client.close();
    await instance.stop();
  }
}

function keepersOf({ replicas, keepers }: Instance): ReadonlyMap<string, string> {
  return new Map(replicas.map(({ region }, replica) => [region, keepers[replica] ?? '']));
}

async function allFull(keepers: ReadonlyMap<string, string>): Promise<boolean> {
  const full = await Promise.all([...keepers.values()].map(cacheIsFull));
  return full.every(Boolean);
}

/** Each reads the journal from its beginning, a message a second; one that is cut off begins again. */
function slowReaders({ cluster, name, replicas }: Instance): () => void {
  const target = { cluster, instance: name };
  const channel = connect(replicas[1]?.address ?? '', { windowBytes: 1024 * 1024 });
  const open = new Map<number, ReadStream>();
  const timers = new Set<NodeJS.Timeout>();
  let stopped = false;
  const later = (ms: number, task: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      if (!stopped) task();
    }, ms);
    timers.add(timer);
  };
  const read = (reader: number): void => {
    const call = channel.serverStream(
      JournalService.method.read,
      { target, from: { case: 'timestamp', value: 0n }, follow: true },
      {
        onMessage: () => {
          call.pause();
          later(1000, () => {
            call.resume();
          });
        },
        onEnd: () => {
          later(1000, () => {
            read(reader);
          });
        },
      },
    );
    open.set(reader, call);
  };
  for (let reader = 0; reader < SLOW_READERS; reader += 1) read(reader);
  return () => {
    stopped = true;
    for (const timer of timers) clearTimeout(timer);
    for (const call of open.values()) call.cancel();
    channel.close();
  };
}

async function flood(instance: Instance, bytes: number, seconds: number): Promise<void> {
  const inflight = Math.ceil(FLOOD_BYTES / bytes);
  const clients = Array.from({ length: FLOOD_CLIENTS }, (_, client) => {
    return new Client(instance, { bytes, stream: `flood-${client}` });
  });
  try {
    await Promise.all(clients.map((client) => closedLoop(client.load(seconds), inflight)));
  } finally {
    for (const client of clients) client.close();
  }
}

/** One record into each. */
function fillStreams(appender: Appender, streams: number): Promise<void> {
  const records = [{ body: new Uint8Array(16) }];
  return new Promise((resolve, reject) => {
    let next = 0;
    let answered = 0;
    const send = (): void => {
      if (next === streams) return;
      next += 1;
      appender.append({ stream: `device/${next}/events`, records }, DEADLINE_MS, (error) => {
        if (error !== null) {
          reject(error);
          return;
        }
        answered += 1;
        if (answered === streams) resolve();
        else send();
      });
    };
    for (let slot = 0; slot < Math.min(STREAMS_INFLIGHT, streams); slot += 1) send();
  });
}

/** What is left after a collection: the least that was seen while `work` ran. */
async function least(
  keepers: ReadonlyMap<string, string>,
  work: () => Promise<unknown>,
): Promise<ReadonlyMap<string, Memory>> {
  const seen = new Map<string, Memory>();
  let working = true;
  const looking = (async () => {
    while (working) {
      for (const [replica, keeper] of keepers) {
        const now = await memoryOf(keeper);
        if (now === null) continue;
        const { resident, used } = seen.get(replica) ?? { resident: Infinity, used: Infinity };
        seen.set(replica, {
          resident: Math.min(resident, now.resident),
          used: Math.min(used, now.used),
        });
      }
      await pause(100);
    }
  })();
  await work();
  working = false;
  await looking;
  return seen;
}

function rowText(phase: string, one: Series): string {
  const { replica, resident, residentMax, residentGrowth, usedMax, usedGrowth } = one;
  return (
    `${phase.padEnd(24)} ${replica}  resident ${resident.join(' ')} (max ${Math.round(residentMax)}, ` +
    `growth ${residentGrowth}), used max ${Math.round(usedMax)}, growth ${usedGrowth} MiB`
  );
}
