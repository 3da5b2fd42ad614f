/**
 * Operations at a rate that does not depend on the answers: what is due is sent, up to a bound of what is
 * under way; beyond it, it is left out. A closed loop would be silent while a system pauses, and so
 * measure the pause as a single slow operation.
 */
export interface Rates {
  /** Per region and second. */
  readonly appendsPerSecond: number;
  readonly readsPerSecond: number;
  /** Appends that a region may have under way, and half as many reads. Default 100. */
  readonly openMax?: number;
}

export interface LoopClient {
  /** The `number`th append, from 0. Never rejects. */
  append(number: number): Promise<void>;
  read(): Promise<void>;
}

const OPEN_MAX = 100;
const TICK_MS = 5;

/** Resolves when it has been aborted and everything sent has been answered. */
export async function openLoop(
  rates: Rates,
  until: AbortSignal,
  client: LoopClient,
): Promise<void> {
  const began = performance.now();
  const { appendsPerSecond, readsPerSecond, openMax = OPEN_MAX } = rates;
  const appends = new Flow(appendsPerSecond, openMax);
  const reads = new Flow(readsPerSecond, openMax / 2);
  while (!until.aborted) {
    const seconds = (performance.now() - began) / 1000;
    appends.send(seconds, (number) => client.append(number));
    reads.send(seconds, () => client.read());
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all([appends.idle(), reads.idle()]);
}

class Flow {
  readonly #perSecond: number;
  readonly #openMax: number;
  readonly #open = new Set<Promise<void>>();
  #due = 0;
  #sent = 0;

  constructor(perSecond: number, openMax: number) {
    this.#perSecond = perSecond;
    this.#openMax = openMax;
  }

  send(seconds: number, one: (number: number) => Promise<void>): void {
    for (const due = seconds * this.#perSecond; this.#due < due; this.#due++) {
      if (this.#open.size >= this.#openMax) continue;
      const operation = one(this.#sent++);
      this.#open.add(operation);
      void operation.finally(() => this.#open.delete(operation));
    }
  }

  async idle(): Promise<void> {
    await Promise.all(this.#open);
  }
}
