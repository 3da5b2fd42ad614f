/** Heartbeats through one region, one after the other, for tests: how long the order stood still. */
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { TARGET } from './cluster.ts';

export class Heartbeats {
  readonly answeredAt: number[] = [];
  readonly failures: string[] = [];
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(channel: Channel) {
    this.#done = this.#run(channel);
  }

  /** Longest time without an answer between the two moments, ms. */
  longestGapMs(from: number, to = performance.now()): number {
    const times = this.answeredAt.filter((at) => at > from && at < to);
    return Math.max(...[...times, to].map((at, i) => at - (times[i - 1] ?? from)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(channel: Channel): Promise<void> {
    while (!this.#stopped) {
      try {
        await channel.unary(
          JournalService.method.heartbeat,
          { target: TARGET, waitForWatermark: true },
          { deadlineMs: 5_000 },
        );
        this.answeredAt.push(performance.now());
      } catch (error) {
        this.failures.push(error instanceof Error ? error.message : String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
