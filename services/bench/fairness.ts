/**
 * `npm run bench -- fairness`: what a client with one append under way waits, alone and beside clients that
 * have as much under way as their sessions allow, all through the same region. Sessions share a replica by bytes,
 * so the quiet one waits for a turn, and is never refused for the others' sake.
 */
import { randomUUID } from 'node:crypto';
import { Appender } from '../../libs/client/appender.ts';
import { Regions } from '../../libs/client/regions.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import type { Instance } from './instance.ts';
import { startInstance } from './instance.ts';
import { closedLoop } from './load.ts';
import type { LoadResult } from './load.ts';

export interface FairnessBenchOptions {
  readonly seconds: number;
  readonly bytes: number;
  /** That have as much under way as they can. */
  readonly clients: number;
}

interface Client {
  readonly load: (inflight: number, seconds: number) => Promise<LoadResult>;
  readonly close: () => void;
}

/** Of each loud client: more than the window of a session. */
const LOUD_BYTES = 10 * 1024 * 1024;

export async function benchFairness(options: FairnessBenchOptions): Promise<object> {
  const { seconds, bytes } = options;
  const instance = await startInstance('fairness');
  const quiet = clientOf(instance, bytes);
  const loud = Array.from({ length: options.clients }, () => clientOf(instance, bytes));
  try {
    await quiet.load(1, 2);
    const alone = await quiet.load(1, seconds);
    const inflight = Math.ceil(LOUD_BYTES / bytes);
    const flood = loud.map((client) => client.load(inflight, seconds + 4));
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const beside = await quiet.load(1, seconds);
    const others = await Promise.all(flood);
    return {
      bench: 'fairness',
      ...options,
      alone: shown(alone),
      beside: shown(beside),
      loudRecordsPerSecond: others.reduce((sum, one) => sum + one.recordsPerSecond, 0),
      loudP50Ms: Math.max(...others.map(({ latency }) => latency.p50Ms)),
    };
  } finally {
    for (const client of [quiet, ...loud]) client.close();
    await instance.stop();
  }
}

function shown({ latency, failures }: LoadResult): Pick<Figures, 'p50Ms' | 'p99Ms'> & {
  failures: number;
} {
  return { p50Ms: latency.p50Ms, p99Ms: latency.p99Ms, failures };
}

/** With connections of its own. */
function clientOf({ cluster, name, replicas }: Instance, bytes: number): Client {
  const regions = new Regions({ replicas, region: 'a' });
  const writer = { id: randomUUID(), epoch: 1, lastSeq: 0 };
  const appender = new Appender({ cluster, instance: name, regions, ack: 'QUORUM', writer });
  const body = new Uint8Array(bytes).fill(120);
  return {
    load: (inflight, seconds) =>
      closedLoop({ appender, stream: writer.id, body, seconds }, inflight),
    close: () => {
      appender.close();
      regions.close();
    },
  };
}
