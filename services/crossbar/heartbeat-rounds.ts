/**
 * Read points over all members. A round serves everybody who asked before it began, never anybody
 * who asked later: an append may have completed in between. So at most one round runs and one waits,
 * whatever the number of callers.
 *
 * An append may have completed in an instance whose join this crossbar has not met yet. So each round also asks
 * the registry for joins that are complete, and whoever has joined for its read point.
 */
import { learnWhatIsComplete } from './member-history.ts';
import type { Membership } from './membership.ts';

export class HeartbeatRounds {
  readonly #membership: Membership;
  #running: Promise<number> | null = null;
  #next: Promise<number> | null = null;

  constructor(membership: Membership) {
    this.#membership = membership;
  }

  /** No append that completed before the call, in any member, lies above the result. */
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
    const round = this.#round();
    this.#running = round;
    const over = (): void => {
      if (this.#running === round) this.#running = null;
    };
    round.then(over, over);
    return round;
  }

  async #round(): Promise<number> {
    const asked = this.#membership.now;
    const [learned, ...answers] = await Promise.allSettled([
      learnWhatIsComplete(this.#membership),
      ...this.#ask(asked),
    ]);
    if (learned.status === 'rejected') throw learned.reason;
    const { now } = this.#membership;
    const points = answers.flatMap((answer, position) => {
      if (answer.status === 'fulfilled') return [answer.value];
      // Who has left has nothing to say any more, and is perhaps gone.
      if (now.includes(asked[position] ?? 0)) throw answer.reason;
      return [];
    });
    const joined = this.#ask(now.filter((number) => !asked.includes(number)));
    return Math.max(...points, ...(await Promise.all(joined)));
  }

  #ask(numbers: readonly number[]): Promise<number>[] {
    return numbers.map((number) => this.#membership.instance(number).heartbeat());
  }
}
