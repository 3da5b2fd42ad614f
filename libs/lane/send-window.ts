/**
 * How many bytes a feeder may have under way to one peer (design §9): few on a link that is new,
 * returned or silent, twice as many with every round that fills them and is answered, half as many
 * when packets wait behind each other. So a link that turns out narrow holds little payload, behind
 * which every word would wait; and a peer that catches up leaves the link usable for the rest.
 */
const FIRST_BYTES = 16 << 10;
/** A slow disk answers late too, so the window does not fall below this while there are answers. */
const STEADY_BYTES = 1 << 20;

export class SendWindow {
  bytes: number;
  private readonly bytesMax: number;
  private readonly resend: number;
  private readonly patienceMax: number;
  /** The round under way: when everything up to the index is confirmed, the window is judged. */
  private round: { readonly index: number; readonly sentAt: number; full: boolean } | null = null;
  /** How long a round has lately taken. */
  private took = 0;
  private retries = 0;

  constructor(bytesMax: number, resend: number, patienceMax: number) {
    this.bytesMax = bytesMax;
    this.resend = resend;
    this.patienceMax = patienceMax;
    this.bytes = Math.min(FIRST_BYTES, bytesMax);
  }

  /** How long to wait for progress before sending again. */
  get patience(): number {
    return Math.min(Math.max(this.resend, 2 * this.took) * 2 ** this.retries, this.patienceMax);
  }

  /** Nothing is known of the link any more. */
  restart(): void {
    this.bytes = Math.min(FIRST_BYTES, this.bytesMax);
    this.round = null;
    this.retries = 0;
  }

  /** Waited in vain. */
  timedOut(): void {
    const { retries } = this;
    this.restart();
    this.retries = Math.min(retries + 1, 16);
  }

  sent(index: number, unconfirmedBytes: number, now: number): void {
    this.round ??= { index, sentAt: now, full: false };
    if (unconfirmedBytes * 2 > this.bytes) this.round.full = true;
  }

  confirmed(index: number, now: number, congested: boolean): void {
    this.retries = 0;
    if (this.round === null || index < this.round.index) return;
    const { full, sentAt } = this.round;
    this.round = null;
    this.took = (this.took + now - sentAt) / 2;
    if (congested) {
      const floor = Math.min(this.bytes, STEADY_BYTES);
      this.bytes = Math.max(floor, Math.floor(this.bytes / 2));
    } else if (full) this.bytes = Math.min(this.bytes * 2, this.bytesMax);
  }
}
