/** The loud clients of fairness.ts, in a thread of their own: what they do must not delay the quiet one there. */
import { parentPort, workerData } from 'node:worker_threads';
import { Client } from './client.ts';
import type { Target } from './client.ts';
import { closedLoop } from './load.ts';

export interface LoudWork {
  readonly instance: Target;
  readonly bytes: number;
  readonly clients: number;
  readonly seconds: number;
}

/** Under way of each: more than the window of a session. */
const LOUD_BYTES = 10 * 1024 * 1024;

const { instance, bytes, clients, seconds } = workerData as LoudWork;
const inflight = Math.ceil(LOUD_BYTES / bytes);
const loud = Array.from({ length: clients }, (_, client) => {
  return new Client(instance, { bytes, stream: `loud-${client}` });
});
const results = await Promise.all(loud.map((client) => closedLoop(client.load(seconds), inflight)));
for (const client of loud) client.close();
parentPort?.postMessage(results);
