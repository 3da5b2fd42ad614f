/**
 * Read points over all instances. A round serves everybody who asked before it began, never anybody
 * who asked later: an append may have completed in between. So at most one round runs and one waits,
 * whatever the number of callers.
 */
import type { Instance } from './instance.ts';

export class HeartbeatRounds {
  readonly #instances: readonly Instance[];
  #running: Promise<number> | null = null;
  #next: Promise<number> | null = null;

  constructor(instances: readonly Instance[]) {
    this.#instances = instances;
  }

  /** No append that completed before the call, in any instance, lies above the result. */
  readPoint(): Promise<number> {
    if (this.#running === null) return this.#begin();
    this.#next ??= this.#running.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  #begin(): Promise<number> {
    this.#next = null;
    const answers = this.#instances.map((instance) => instance.heartbeat());
    const round = Promise.all(answers).then((points) => Math.max(...points));
    this.#running = round;
    const over = (): void => {
      if (this.#running === round) this.#running = null;
    };
    round.then(over, over);
    return round;
  }
}
