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
  readonly #appends: Append[] = [];
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
    return this.#appends.length;
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
    while (this.#appends[0]?.acknowledged === true) {
      const append = this.#appends.shift();
      if (append === undefined) break;
      confirmed = append.upTo;
      this.#bytes -= append.bytes;
    }
    if (confirmed === null) return;
    this.#confirmed = confirmed;
    this.#onConfirmed(confirmed);
  }
}
