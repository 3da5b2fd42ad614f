/**
 * `npm run bench -- fairness`: what a client with one append under way waits, alone and beside clients that
 * have as much under way as their sessions allow, all through the same region. Sessions share a replica by bytes,
 * so the quiet one waits for a turn, and is never refused for the others' sake.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import { Client } from './client.ts';
import type { LoudWork } from './fairness-loud.ts';
import { startInstance } from './instance.ts';
import { closedLoop } from './load.ts';
import type { LoadResult } from './load.ts';

export interface FairnessBenchOptions {
  readonly seconds: number;
  readonly bytes: number;
  /** That have as much under way as they can. */
  readonly clients: number;
}

/** Until the loud ones have filled what there is to fill. */
const RAMP_SECONDS = 3;

export async function benchFairness(options: FairnessBenchOptions): Promise<object> {
  const { seconds, bytes, clients } = options;
  const instance = await startInstance('fairness');
  const { cluster, name, replicas } = instance;
  const quiet = new Client(instance, { bytes });
  try {
    await closedLoop(quiet.load(2), 1);
    const alone = await closedLoop(quiet.load(seconds), 1);
    const loud = loudClients({
      instance: { cluster, name, replicas },
      bytes,
      clients,
      seconds: seconds + 2 * RAMP_SECONDS,
    });
    await pause(RAMP_SECONDS * 1000);
    const beside = await closedLoop(quiet.load(seconds), 1);
    const others = await loud;
    return {
      bench: 'fairness',
      ...options,
      alone: shown(alone),
      beside: shown(beside),
      loud: {
        recordsPerSecond: others.reduce((sum, one) => sum + one.recordsPerSecond, 0),
        p50Ms: Math.max(...others.map(({ latency }) => latency.p50Ms)),
        failures: others.reduce((sum, one) => sum + one.failures, 0),
      },
    };
  } finally {
    quiet.close();
    await instance.stop();
  }
}

function loudClients(work: LoudWork): Promise<readonly LoadResult[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('fairness-loud.js', import.meta.url), { workerData: work });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => {
      reject(new MeridianError('UNAVAILABLE', 'the loud clients ended without a result'));
    });
  });
}

function shown({ latency, failures }: LoadResult): Pick<Figures, 'p50Ms' | 'p99Ms'> & {
  readonly failures: number;
} {
  return { p50Ms: latency.p50Ms, p99Ms: latency.p99Ms, failures };
}
