/**
 * What is under way to the journal, and therefore what may be confirmed to Postgres: everything
 * before the oldest append that is not acknowledged. Answers may come in any order.
 */
import { assert } from '../../libs/values/assert.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';

interface Append {
  readonly upTo: Lsn;
  readonly bytes: number;
  acknowledged: boolean;
}

export type Ticket = Append;

export class ShipWindow {
  /** From `#first` on; what is before it is confirmed. A queue of thousands is not moved for each answer. */
  #appends: Append[] = [];
  #first = 0;
  readonly #onConfirmed: (upTo: Lsn) => void;
  #confirmed: Lsn;
  #last: Lsn;
  #bytes = 0;

  /** Everything before `from` is in the journal. */
  constructor(from: Lsn, onConfirmed: (upTo: Lsn) => void) {
    this.#confirmed = from;
    this.#last = from;
    this.#onConfirmed = onConfirmed;
  }

  /** Everything before this is in the journal. */
  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** Of the newest append, acknowledged or not. */
  get last(): Lsn {
    return this.#last;
  }

  get count(): number {
    return this.#appends.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** An append that makes the journal hold everything before `upTo`. */
  add(upTo: Lsn, bytes: number): Ticket {
    assert(upTo > this.#last, 'appends go forward in the log');
    const append = { upTo, bytes, acknowledged: false };
    this.#appends.push(append);
    this.#last = upTo;
    this.#bytes += bytes;
    return append;
  }

  acknowledge(ticket: Ticket): void {
    ticket.acknowledged = true;
    let confirmed: Lsn | null = null;
    let oldest = this.#appends[this.#first];
    while (oldest?.acknowledged === true) {
      confirmed = oldest.upTo;
      this.#bytes -= oldest.bytes;
      this.#first += 1;
      oldest = this.#appends[this.#first];
    }
    if (this.#first * 2 > this.#appends.length) {
      this.#appends = this.#appends.slice(this.#first);
      this.#first = 0;
    }
    if (confirmed === null) return;
    this.#confirmed = confirmed;
    this.#onConfirmed(confirmed);
  }
}
