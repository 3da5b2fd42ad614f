/**
 * P4 and P5 in runs with one fault at a time: while one replica is dead, cut off or paused, the other
 * two acknowledge QUORUM appends without a pause, and ORDERED ones resume within the seal timeout; so
 * do all three while one link is cut or slow. Asks this of appends handed to a replica that was well
 * all along, and of no others.
 */
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { Attempt } from './operations.ts';
import type { SimulationOptions } from './options.ts';
import { check } from './violation.ts';

/** After its fault a replica has this long to come back before the next fault. */
export const RECOVERY = 3_000_000;

export class LatencyChecker {
  private readonly quorumMax: number;
  private readonly orderedMax: number;
  private readonly time: { readonly now: number };
  /** Per replica: since when it is well; Infinity while it is not. */
  private readonly wellSince: [number, number, number];

  constructor(options: SimulationOptions, time: { readonly now: number }) {
    this.time = time;
    const { settings, network, disk, tick, turn } = options;
    const way = Math.max(...network.delay) + network.jitter + turn;
    const sync = disk.sync + disk.jitter;
    // T5: the clocks' errors pass, and then comes a tick; the one after a step is left out (replica.ts).
    const commitWait = 2 * (settings.maxClockError ?? 0);
    // Behind a running entry: two syncs at home, two at the peer, there and back, twice.
    this.quorumMax = 4 * way + 6 * sync + settings.lazy + 2 * tick + commitWait + 10_000;
    // Silence, the question, the promise, the marker; the second in line waits half as long again.
    this.orderedMax =
      1.5 * settings.sealTimeout + settings.beacon + 12 * way + 12 * sync + 4 * tick + 50_000;
    const off = options.single === null ? Infinity : RECOVERY;
    this.wellSince = [off, off, off];
  }

  struck(replica: ReplicaId): void {
    this.wellSince[replica] = Infinity;
  }

  over(replica: ReplicaId): void {
    this.wellSince[replica] = this.time.now + RECOVERY / 2;
  }

  submitted(attempt: Attempt): void {
    attempt.submittedAt = this.time.now;
  }

  answered(replica: ReplicaId, attempt: Attempt): void {
    if (this.wellSince[replica] > attempt.submittedAt) return;
    const { ack } = attempt.operation;
    const took = this.time.now - attempt.submittedAt;
    const bound = ack === 'QUORUM' ? this.quorumMax : this.orderedMax;
    check(took <= bound, ack === 'QUORUM' ? 'quorum-pause' : 'order-pause', () => {
      return (
        `r${replica} answers operation ${attempt.operation.id} (${ack}) after ${took} µs, ` +
        `bound ${bound}`
      );
    });
  }
}
