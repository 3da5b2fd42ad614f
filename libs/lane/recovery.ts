/**
 * Coming back without a disk (design §3, Membership; SPEC.md §7). Such a replica has forgotten what
 * it promised and acknowledged. Both others together know enough: each promise was also on its
 * preparer's disk, each commitment on another one's. One of them is not enough. Until their best
 * tails, promises and clocks are on its disk it takes part in nothing.
 *
 * It asks twice. Only after both have answered once has everybody stopped counting what the lost
 * disk said; an answer from before that may lack an entry that the other one still commits with it.
 */
import { assert, at } from '../values/assert.ts';
import type { Epoch, Index, PerReplica, ReplicaId } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { others, third } from './context.ts';
import type { Lane } from './lane.ts';
import type { Append, Control, Feed, Tail } from './types.ts';
import { isHigher } from './writer.ts';

type Answer = Extract<Control, { type: 'recoverAnswer' }>;

interface Copy {
  /** Has the target, or will have; the other one is tried when this one does not answer. */
  source: ReplicaId;
  readonly target: Tail;
  after: Tail;
  sentAt: number;
}

export class Recovery<Content, A extends Append> {
  /** true: this replica takes part in quorums. */
  voting: boolean;
  private readonly context: Context<Content, A>;
  private readonly lanes: PerReplica<Lane<Content, A>>;
  private readonly incarnation: number;
  private readonly answers = new Map<ReplicaId, Answer>();
  private nonce: number;
  /** Highest clock in the answers: reserved on disk before this replica votes (O5). */
  private clockKnown = 0;
  private copies: (Copy | null)[] | null = null;
  private askedAt = -Infinity;
  private doneSeq: number | null = null;
  private isOver = false;

  constructor(
    context: Context<Content, A>,
    lanes: PerReplica<Lane<Content, A>>,
    incarnation: number,
    voting: boolean,
  ) {
    this.context = context;
    this.lanes = lanes;
    this.incarnation = incarnation;
    this.voting = voting || context.broken.has('recover-votes');
    this.nonce = incarnation;
  }

  /** M4: not with this directory: there will be another one. */
  giveUp(): void {
    this.voting = false;
    this.isOver = true;
    this.copies = null;
  }

  pursue(): void {
    if (this.voting || this.isOver || this.doneSeq !== null) return;
    const { context } = this;
    if (this.copies !== null) {
      this.copies.forEach((copy, lane) => {
        if (copy === null || context.now < copy.sentAt + context.settings.resend) return;
        if (copy.sentAt !== -Infinity) copy.source = third(context.self, copy.source);
        this.fetch(copy, lane);
      });
      this.maybeFinish();
      return;
    }
    if (context.now < this.askedAt + context.settings.resend) return;
    this.askedAt = context.now;
    for (const peer of others(context.self)) {
      if (this.answers.has(peer)) continue;
      context.letter(peer, { type: 'recover', nonce: this.nonce, incarnation: this.incarnation });
    }
  }

  /** What a voter tells a replica that lost its disk. */
  answer(to: ReplicaId, nonce: number): void {
    const { context } = this;
    // A word of the lost life may be ahead of every clock that is left (T3), and still be gone by (O5).
    for (const { announced } of this.lanes) {
      if (announced !== null) context.clock.raise(announced.closed);
    }
    context.letter(to, {
      type: 'recoverAnswer',
      nonce,
      clock: context.clock.last as Answer['clock'],
      lanes: this.lanes.map(({ promised, log }) => ({
        promised,
        tail: log.syncedTail,
        committed: log.committed,
      })),
    });
  }

  handleAnswer(from: ReplicaId, answer: Answer): void {
    if (this.voting || this.isOver || this.copies !== null) return;
    if (answer.nonce !== this.nonce) return;
    this.answers.set(from, answer);
    const needed = this.context.broken.has('recover-one') ? 1 : 2;
    if (this.answers.size < needed) return;
    if (this.nonce === this.incarnation && needed === 2) {
      this.nonce += 1;
      this.answers.clear();
      this.askedAt = -Infinity;
      return;
    }
    for (const { clock } of this.answers.values()) {
      this.clockKnown = Math.max(this.clockKnown, clock);
    }
    this.context.clock.raise(this.clockKnown);
    this.copies = this.lanes.map((lane) => this.plan(lane));
    this.pursue();
  }

  /** Promises the highest epoch anybody knows, and finds out whose tail is the best. */
  private plan(lane: Lane<Content, A>): Copy | null {
    let promised = lane.promised;
    let best: { source: ReplicaId; target: Tail } | null = null;
    for (const [source, answer] of this.answers) {
      const theirs = at(answer.lanes, lane.id);
      promised = Math.max(promised, theirs.promised) as Epoch;
      if (best === null || isHigher(theirs.tail, best.target))
        best = { source, target: theirs.tail };
    }
    if (promised > lane.promised) lane.promise(promised);
    assert(best !== null, 'recovery has answers');
    if (!isHigher(best.target, lane.log.tail)) return null;
    return { ...best, after: lane.log.agreement(best.target), sentAt: -Infinity };
  }

  private fetch(copy: Copy, lane: number): void {
    copy.sentAt = this.context.now;
    const { after } = copy;
    const control: Control = { type: 'fetch', lane: at(REPLICAS, lane), epoch: 0 as Epoch, after };
    this.context.letter(copy.source, control);
  }

  handleFeed(feed: Feed<Content>): void {
    const copy = this.copies?.[feed.lane];
    if (!copy || feed.epoch !== 0 || this.context.space === 'none') return;
    const lane = at(this.lanes, feed.lane);
    // Only the answer to the last question: the source's log may have changed since an earlier one.
    const { previous } = feed;
    if (previous.index !== copy.after.index || !lane.log.has(previous)) return;
    const last = feed.entries.at(-1);
    // Whoever holds an entry of an epoch takes no lower one.
    if (last !== undefined && last.epoch > lane.promised) lane.promise(last.epoch);
    lane.take(feed);
    lane.log.commit(Math.min(feed.committed, previous.index + feed.entries.length));
    if (last !== undefined) copy.after = { epoch: last.epoch, index: last.index };
    if (!isHigher(copy.target, lane.log.tail)) this.copies?.splice(feed.lane, 1, null);
    else if (last !== undefined) this.fetch(copy, feed.lane);
    this.maybeFinish();
  }

  handleMismatch(from: ReplicaId, lane: number, resume: Tail): void {
    const copy = this.copies?.[lane];
    if (copy?.source !== from) return;
    const { log } = at(this.lanes, lane);
    const agreed = log.agreement(resume);
    if (agreed.index >= copy.after.index && copy.after.index > log.base.index) {
      const index = (copy.after.index - 1) as Index;
      copy.after = { epoch: log.epochAt(index), index };
    } else if (agreed.index === copy.after.index && agreed.epoch === copy.after.epoch) return;
    else copy.after = agreed;
    this.fetch(copy, lane);
  }

  private maybeFinish(): void {
    if (this.doneSeq !== null || this.copies?.every((copy) => copy === null) !== true) return;
    if (this.context.clock.reserved < this.clockKnown) return;
    this.doneSeq = this.context.write({ type: 'recovered' });
  }

  /** Votes again once everything copied is on disk. True at that moment. */
  persisted(seq: number): boolean {
    if (this.voting || this.isOver || this.doneSeq === null || seq < this.doneSeq) return false;
    this.voting = true;
    return true;
  }
}
