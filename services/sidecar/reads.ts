/**
 * Linearizable reads of the local database: ask for a read point, wait until everything up to it is
 * applied. At a primary everything is there as soon as it is certain that it is one, and that nothing is
 * visible elsewhere already whose COMMIT has not returned here (`ShipProgress.settle`). Reads that come while a request for a read point is under way share the next one: sharing
 * the running one would be wrong, for it began before them.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { Latency } from '../../libs/telemetry/latency.ts';
import type { ApplyJournal } from './journal-port.ts';
import type { ShipProgress } from './ship-progress.ts';
import { AppliedWatermark } from './watermark.ts';

export interface ReadPoint {
  readonly readPoint: number;
  readonly watermark: number;
}

export class LinearizableReads {
  readonly latency = new Latency();
  readonly #journal: Pick<ApplyJournal, 'heartbeat'>;
  readonly #watermark: AppliedWatermark;
  #next: Promise<number> | null = null;
  #running: Promise<unknown> = Promise.resolve();

  constructor(journal: Pick<ApplyJournal, 'heartbeat'>, watermark: AppliedWatermark) {
    this.#journal = journal;
    this.#watermark = watermark;
  }

  static atPrimary(ship: Pick<ShipProgress, 'settle'>): LinearizableReads {
    const heartbeat = async (): Promise<number> => {
      await ship.settle();
      return 0;
    };
    return new LinearizableReads({ heartbeat }, new AppliedWatermark());
  }

  /** Resolves when everything completed before the call is applied. DEADLINE when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<ReadPoint> {
    const began = performance.now();
    const readPoint = await abortable(this.#readPoint(), signal);
    await this.#watermark.reach(readPoint, signal);
    this.latency.record((performance.now() - began) * 1000);
    return { readPoint, watermark: this.#watermark.value };
  }

  async waitFor(readPoint: number, signal: AbortSignal): Promise<ReadPoint> {
    await this.#watermark.reach(readPoint, signal);
    return { readPoint, watermark: this.#watermark.value };
  }

  #readPoint(): Promise<number> {
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      const request = this.#journal.heartbeat();
      this.#running = request.catch(() => undefined);
      return request;
    });
    return this.#next;
  }
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      reject(new MeridianError('DEADLINE', 'no read point in time'));
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', stop);
    });
  });
}
