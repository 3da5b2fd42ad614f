/**
 * What one replica has sent of one lane to one peer (design §9): optimistic and pipelined, within a
 * window of bytes; what is not confirmed in time is sent again. The writer feeds by default; the
 * third replica feeds where a link is cut, because the peer asks it to.
 */
import type { Append, Feed, LaneSettings, LaneStatus, Tail } from './types.ts';
import type { Lane } from './lane.ts';

const PATIENCE_MAX_MICROS = 5_000_000;

export class Feeder<Content, A extends Append> {
  private readonly lane: Lane<Content, A>;
  private readonly settings: LaneSettings;
  private epoch = 0;
  private next = 1;
  private matched = 0;
  /** Sending began here; what is below was not sent, and is taken for held until told otherwise. */
  private base = 0;
  private unconfirmedBytes = 0;
  private progressAt = 0;
  private patience: number;

  constructor(lane: Lane<Content, A>, settings: LaneSettings) {
    this.lane = lane;
    this.settings = settings;
    this.patience = settings.resend;
  }

  /** The next feed for a peer that states `theirs`; null when there is nothing to send now. */
  feed(theirs: LaneStatus, now: number): Feed<Content> | null {
    const { lane } = this;
    const { log } = lane;
    if (theirs.promised > lane.promised) return null;
    this.observe(theirs, now);
    if (this.next > log.last) return null;
    const room = this.settings.feedBytesMax - this.unconfirmedBytes;
    if (room <= 0) return null;
    const entries = log.slice(this.next, Math.min(room, this.settings.entryBytesMax));
    const previous = { epoch: log.epochAt(this.next - 1), index: (this.next - 1) as Tail['index'] };
    if (this.next === this.matched + 1) this.progressAt = now;
    this.next += entries.length;
    for (const entry of entries) this.unconfirmedBytes += entry.bytes;
    const { committed } = log;
    return { lane: lane.id, epoch: lane.promised, previous, entries, committed, adoption: false };
  }

  /** Is there anything a new packet would carry? */
  get pending(): boolean {
    return this.next <= this.lane.log.last;
  }

  /** The peer has no entry like `previous`; its log may agree with ours up to `resume`. */
  mismatch(resume: Tail, now: number): void {
    const guess = this.lane.log.agreement(resume).index;
    if (guess >= this.next - 1) return;
    this.goBack(guess, now);
  }

  /** A new connection: everything unconfirmed may be lost. */
  reconnect(now: number): void {
    this.patience = this.settings.resend;
    this.goBack(this.matched, now);
  }

  private observe(theirs: LaneStatus, now: number): void {
    const { log, promised } = this.lane;
    const agreed = log.agreement(theirs.tail);
    if (this.epoch !== promised) {
      this.epoch = promised;
      this.matched = 0;
      this.patience = this.settings.resend;
      this.goBack(agreed.index, now);
    }
    const accepted = theirs.tail.epoch === promised;
    const same = agreed.epoch === theirs.tail.epoch && agreed.index === theirs.tail.index;
    const matched = accepted || same ? agreed.index : 0;
    if (matched > this.matched) {
      const before = Math.max(this.matched, this.base);
      const confirmed = Math.min(matched, this.next - 1);
      if (confirmed > before) this.unconfirmedBytes -= log.bytesBetween(before, confirmed);
      this.matched = matched;
      this.next = Math.max(this.next, matched + 1);
      this.progressAt = now;
      this.patience = this.settings.resend;
    }
    if (this.next > this.matched + 1 && now > this.progressAt + this.patience) {
      this.patience = Math.min(this.patience * 2, PATIENCE_MAX_MICROS);
      this.goBack(Math.max(this.matched, accepted ? 0 : agreed.index), now);
    }
  }

  private goBack(to: number, now: number): void {
    this.next = to + 1;
    this.base = to;
    this.unconfirmedBytes = 0;
    this.progressAt = now;
  }
}
