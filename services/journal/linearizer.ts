/**
 * Linearizable read points for callers that wait: a heartbeat round of the lane core, then, if asked,
 * the watermark's arrival at the read point. Owns the time limit: without a quorum no heartbeat is
 * answered, and nobody should wait for that without end.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import type { Watermark } from './watermark.ts';

export interface ReadPoints {
  heartbeat(done: (readPoint: Timestamp) => void): () => void;
}

export interface Settled {
  readonly settled: (readPoint: Timestamp) => void;
  readonly failed: (error: MeridianError) => void;
}

export class Linearizer {
  readonly #readPoints: ReadPoints;
  readonly #watermark: Watermark;
  readonly #timeoutMs: number;
  readonly #latency: (micros: number) => void;

  /** `latency` hears how long each answer took. */
  constructor(
    readPoints: ReadPoints,
    watermark: Watermark,
    timeoutMs: number,
    latency: (micros: number) => void = () => undefined,
  ) {
    this.#readPoints = readPoints;
    this.#watermark = watermark;
    this.#timeoutMs = timeoutMs;
    this.#latency = latency;
  }

  /** Calls one of the two, once. The returned function gives up: then neither is called any more. */
  ask(waitForWatermark: boolean, { settled, failed }: Settled): () => void {
    let cancel: () => void = () => undefined;
    const startedAt = performance.now();
    const timer = setTimeout(() => {
      cancel();
      failed(this.#timeout());
    }, this.#timeoutMs);
    const finish = (readPoint: Timestamp): void => {
      clearTimeout(timer);
      this.#latency((performance.now() - startedAt) * 1000);
      settled(readPoint);
    };
    const onReadPoint = (readPoint: Timestamp): void => {
      if (!waitForWatermark) finish(readPoint);
      else {
        cancel = this.#watermark.whenReached(readPoint, () => {
          finish(readPoint);
        });
      }
    };
    try {
      cancel = this.#readPoints.heartbeat(onReadPoint);
    } catch (error) {
      clearTimeout(timer);
      throw error;
    }
    return () => {
      clearTimeout(timer);
      cancel();
    };
  }

  /** The same as a promise, for unary calls; rejects when nobody waits any more. */
  readPoint(waitForWatermark: boolean, signal: AbortSignal): Promise<Timestamp> {
    return new Promise((resolve, reject) => {
      const giveUp = this.ask(waitForWatermark, { settled: resolve, failed: reject });
      signal.addEventListener('abort', () => {
        giveUp();
        reject(new MeridianError('UNAVAILABLE', 'the caller has gone'));
      });
    });
  }

  #timeout(): MeridianError {
    return new MeridianError(
      'NO_QUORUM',
      `no read point within ${this.#timeoutMs} ms: this replica reaches no other, or its order stands still; ask another region`,
    );
  }
}
