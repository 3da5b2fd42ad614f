/**
 * How a workload's clients run: so many in each region, each with choices of its own from the seed, one step
 * after the other with a pause between, until they are told to stop.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../random.ts';
import { RecordedJournal } from './recorded-journal.ts';
import type { Traffic } from './workload.ts';

export interface Client {
  readonly name: string;
  readonly region: string;
  readonly journal: RecordedJournal;
  readonly random: Random;
}

export interface ClientOptions {
  readonly workload: string;
  readonly perRegion: number;
  /** Mean pause between two steps of a client. */
  readonly pauseMs: number;
}

/** `step`: one thing that a client does; it resolves when the client may do the next. */
export async function runClients(
  traffic: Traffic,
  until: AbortSignal,
  { workload, perRegion, pauseMs }: ClientOptions,
  step: (client: Client) => Promise<void>,
): Promise<void> {
  const journals = traffic.endpoints.regions.map(
    (region) => new RecordedJournal(traffic, workload, region),
  );
  const clients = journals.flatMap((journal) =>
    Array.from({ length: perRegion }, async (_, i) => {
      const { region } = journal;
      const name = `${region}/${workload}-${i}`;
      const random = new Random(traffic.seed).fork(name);
      while (!until.aborted) {
        await step({ name, region, journal, random });
        await rest(random.next() * 2 * pauseMs, until);
      }
    }),
  );
  try {
    await Promise.all(clients);
  } finally {
    await Promise.all(journals.map((journal) => journal.close()));
  }
}

/** Waits, but not beyond the end. */
export async function rest(ms: number, until: AbortSignal): Promise<void> {
  // As many as there are clients wait for one signal.
  setMaxListeners(0, until);
  await pause(ms, undefined, { signal: until }).catch(() => undefined);
}

/** Numbers that make every value of a run another one. */
export function values(client: Client, counts: Map<string, number>, count: number): string[] {
  const next = counts.get(client.name) ?? 0;
  counts.set(client.name, next + count);
  return Array.from({ length: count }, (_, i) => `${client.name}#${next + i}`);
}
