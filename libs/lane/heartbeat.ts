/**
 * Heartbeats (design §8): a request is ordered like a record and never stored. The read point is the
 * highest timestamp that this replica or one peer has persisted; every completed append is on two of
 * three, so it lies at or below. A round counts only for requests that arrived before it began:
 * one that joined a round under way could miss an append completed in between (etcd #20418).
 */
import type { ReplicaId, Timestamp } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { others } from './context.ts';
import type { Append, Effects } from './types.ts';

export class Heartbeats<Content, A extends Append> {
  private readonly context: Context<Content, A>;
  private waiting: number[] = [];
  private round: { number: number; ids: number[]; sentAt: number } | null = null;

  constructor(context: Context<Content, A>) {
    this.context = context;
  }

  ask(id: number): void {
    if (this.round !== null && this.context.broken.has('heartbeat-reused')) this.round.ids.push(id);
    else this.waiting.push(id);
  }

  /** Starts a round for whoever waits, or repeats the question of the present one. */
  pursue(): void {
    const { now, settings, self, clock } = this.context;
    if (this.round === null) {
      if (this.waiting.length === 0) return;
      // An answer to an earlier life must not be mistaken for one to this: no timestamp comes twice (T1).
      const number = clock.take(self, 0);
      if (number === null) return;
      this.round = { number, ids: this.waiting, sentAt: -Infinity };
      this.waiting = [];
    }
    if (now < this.round.sentAt + settings.resend) return;
    this.round.sentAt = now;
    for (const peer of others(self)) {
      this.context.letter(peer, { type: 'heartbeat', round: this.round.number });
    }
  }

  answer(to: ReplicaId, round: number, persisted: Timestamp): void {
    this.context.letter(to, { type: 'heartbeatAnswer', round, persisted });
  }

  handleAnswer(
    round: number,
    theirs: Timestamp,
    own: Timestamp,
    readPoints: Effects<Content, A>['readPoints'][number][],
  ): void {
    if (this.round?.number !== round) return;
    const readPoint = Math.max(theirs, own) as Timestamp;
    for (const id of this.round.ids) readPoints.push({ id, readPoint });
    this.round = null;
  }

  /** Broken on purpose: answers without a peer. */
  answerAlone(own: Timestamp, readPoints: Effects<Content, A>['readPoints'][number][]): void {
    for (const id of this.waiting) readPoints.push({ id, readPoint: own });
    this.waiting = [];
  }
}
