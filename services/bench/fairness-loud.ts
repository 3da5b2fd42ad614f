/** The loud clients of fairness.ts, in a thread of their own: what they do must not delay the quiet one here. */
import { parentPort, workerData } from 'node:worker_threads';
import { clientOf, inflightOf } from './fairness-client.ts';
import type { LoudWork } from './fairness-client.ts';

const { instance, bytes, clients, seconds } = workerData as LoudWork;
const loud = Array.from({ length: clients }, () => clientOf(instance, bytes));
const results = await Promise.all(loud.map(({ load }) => load(inflightOf(bytes), seconds)));
for (const { close } of loud) close();
parentPort?.postMessage(results);
