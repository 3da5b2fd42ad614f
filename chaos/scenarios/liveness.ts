/** Notices when clients of every region succeed again: appends of the fleet that began after a moment. */
import { REGIONS } from '../cluster/wide-area.ts';
import { pause } from '../faults/fault.ts';
import type { Operation } from '../model/operation.ts';
import type { Recorder } from '../model/recorder.ts';
import { FLEET } from '../traffic/fleet.ts';

const POLL_MS = 20;

export class Liveness {
  readonly #record: Recorder;
  /** By region: when the newest append that succeeded was begun. */
  readonly #begunUs = new Map<string, number>();

  constructor(record: Recorder) {
    this.#record = record;
    record.onOperation((operation) => {
      this.#heard(operation);
    });
  }

  /** Regions whose clients have not had an append begin and succeed since the call; none: all is well. */
  async missing(deadlineMs: number): Promise<string[]> {
    const sinceUs = this.#record.nowUs();
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const dead = REGIONS.filter((region) => (this.#begunUs.get(region) ?? -1) < sinceUs);
      if (dead.length === 0 || performance.now() > deadline) return dead;
      await pause(POLL_MS);
    }
  }

  #heard({ workload, region, action, invokedUs, outcome }: Operation): void {
    if (workload !== FLEET || action.kind !== 'append' || outcome.kind !== 'ok') return;
    this.#begunUs.set(region, Math.max(this.#begunUs.get(region) ?? 0, invokedUs));
  }
}
