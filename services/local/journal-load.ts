/**
 * Records of programs, besides those of the database: one client per region appends to the second
 * instance through the SDK. What was acknowledged has to be in the merged order exactly once.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import type { Ports, Region } from './topology.ts';
import { CLUSTER, REGIONS } from './topology.ts';

const INSTANCE = 'two';
/** Leaves the two cores of a small machine to what the check is about. */
const PAUSE_MS = 10;

export function connectSecondInstance(ports: Ports, region: Region): Journal {
  return connectJournal({
    cluster: CLUSTER,
    instance: INSTANCE,
    region,
    replicas: REGIONS.map((home) => ({
      region: home,
      address: `127.0.0.1:${String(ports[home].journal[INSTANCE])}`,
    })),
  });
}

export class JournalLoad {
  /** Stream → appends that were acknowledged. */
  readonly acknowledged = new Map<string, number>();
  readonly #journals: readonly { readonly stream: string; readonly journal: Journal }[];
  #work: Promise<unknown> = Promise.resolve();
  #stopping = false;

  constructor(ports: Ports) {
    this.#journals = REGIONS.map((region) => ({
      stream: `check.${region}`,
      journal: connectSecondInstance(ports, region),
    }));
  }

  /** `failed` rejects when an append fails for good. */
  start(): { readonly failed: Promise<never> } {
    const work = this.#journals.map(({ stream, journal }) => this.#append(stream, journal));
    this.#work = Promise.allSettled(work);
    const failed = Promise.all(work).then(() => new Promise<never>(() => undefined));
    failed.catch(() => undefined); // whoever waits for something else races with it
    return { failed };
  }

  /** Returns when every append has been answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#work;
    await this.abandon();
  }

  /** Ends without waiting for answers. */
  async abandon(): Promise<void> {
    this.#stopping = true;
    await Promise.allSettled(this.#journals.map(({ journal }) => journal.close()));
  }

  async #append(stream: string, journal: Journal): Promise<void> {
    const writer = journal.writer({ id: stream });
    for (let number = 1; !this.#stopping; number++) {
      await writer.append(stream, [{ body: Buffer.from(`${stream} ${String(number)}`) }]);
      this.acknowledged.set(stream, number);
      await pause(PAUSE_MS);
    }
  }
}
