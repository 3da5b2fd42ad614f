/**
 * What one replica has sent of one lane to one peer (design §9): optimistic and pipelined, within a
 * window of bytes; what is not confirmed in time is sent again. The writer feeds by default; the
 * third replica feeds where a link is cut, because the peer asks it to.
 */
import type { Append, Feed, LaneSettings, LaneStatus, Tail } from './types.ts';
import type { Lane } from './lane.ts';
import { SendWindow } from './send-window.ts';

const PATIENCE_MAX_MICROS = 5_000_000;

export class Feeder<Content, A extends Append> {
  private readonly lane: Lane<Content, A>;
  private readonly settings: LaneSettings;
  private epoch = 0;
  private next = 1;
  private matched = 0;
  /** Feeds under way: the last index of each, and its bytes. */
  private readonly unconfirmed: { readonly to: number; readonly bytes: number }[] = [];
  /** Sent and not confirmed. */
  unconfirmedBytes = 0;
  private progressAt = 0;
  private readonly window: SendWindow;

  constructor(lane: Lane<Content, A>, settings: LaneSettings) {
    this.lane = lane;
    this.settings = settings;
    this.window = new SendWindow(settings.feedBytesMax, settings.resend, PATIENCE_MAX_MICROS);
  }

  /** How much may be under way. */
  get windowBytes(): number {
    return this.window.bytes;
  }

  /**
   * The next feed for a peer that states `theirs`; null when there is nothing to send now.
   * `congested`: packets to the peer wait behind others.
   */
  feed(theirs: LaneStatus, now: number, congested: boolean): Feed<Content> | null {
    const { lane } = this;
    const { log } = lane;
    if (theirs.promised > lane.promised || this.isDone()) return null;
    // C3: what it lacks has left this log; a checkpoint must come first.
    if (theirs.tail.index < log.base.index) return null;
    this.observe(theirs, now, congested);
    if (this.next > log.last) return null;
    this.next = Math.max(this.next, log.base.index + 1);
    const room = this.window.bytes - this.unconfirmedBytes;
    if (room <= 0) return null;
    const entries = log.slice(this.next, Math.min(room, this.settings.entryBytesMax));
    if (entries.length === 0) return null;
    const previous = { epoch: log.epochAt(this.next - 1), index: (this.next - 1) as Tail['index'] };
    if (this.next === this.matched + 1) this.progressAt = now;
    this.next += entries.length;
    let bytes = 0;
    for (const entry of entries) bytes += entry.bytes;
    this.unconfirmed.push({ to: this.next - 1, bytes });
    this.unconfirmedBytes += bytes;
    this.window.sent(this.next - 1, this.unconfirmedBytes, now);
    const { committed } = log;
    return { lane: lane.id, epoch: lane.promised, previous, entries, committed, adoption: false };
  }

  /** Is there anything a new packet would carry? */
  get pending(): boolean {
    return this.next <= this.lane.log.last;
  }

  /** Somebody else feeds the peer: the link may be narrow, and is tried carefully later. */
  rest(): void {
    this.window.restart();
  }

  /** The peer has no entry like `previous`; its log may agree with ours up to `resume`. */
  mismatch(resume: Tail, now: number): void {
    const guess = this.lane.log.agreement(resume).index;
    if (guess >= this.next - 1) return;
    this.goBack(guess, now);
  }

  /** A new connection: everything unconfirmed may be lost. */
  reconnect(now: number): void {
    this.window.restart();
    this.goBack(this.matched, now);
  }

  /** The peer has everything, and has said so: there is nothing to send, nor to learn. */
  private isDone(): boolean {
    const { log, promised } = this.lane;
    return (
      this.matched === log.last &&
      this.next === log.last + 1 &&
      this.epoch === promised &&
      this.unconfirmed.length === 0
    );
  }

  private observe(theirs: LaneStatus, now: number, congested: boolean): void {
    const { log, promised } = this.lane;
    const agreed = log.agreement(theirs.tail);
    if (this.epoch !== promised) {
      this.epoch = promised;
      this.matched = 0;
      this.window.restart();
      this.goBack(agreed.index, now);
    }
    const accepted = theirs.tail.epoch === promised;
    const same = agreed.epoch === theirs.tail.epoch && agreed.index === theirs.tail.index;
    const matched = accepted || same ? agreed.index : 0;
    if (matched > this.matched) {
      this.matched = matched;
      this.next = Math.max(this.next, matched + 1);
      this.progressAt = now;
      this.window.confirmed(matched, now, congested);
    }
    // Also what was sent again, below a match: it would fill the window for ever.
    for (let first = this.unconfirmed[0]; first !== undefined && first.to <= this.matched;) {
      this.unconfirmedBytes -= first.bytes;
      this.unconfirmed.shift();
      first = this.unconfirmed[0];
    }
    if (this.next > this.matched + 1 && now > this.progressAt + this.window.patience) {
      this.window.timedOut();
      this.goBack(Math.max(this.matched, accepted ? 0 : agreed.index), now);
    }
  }

  private goBack(to: number, now: number): void {
    this.next = to + 1;
    this.unconfirmed.length = 0;
    this.unconfirmedBytes = 0;
    this.progressAt = now;
  }
}
