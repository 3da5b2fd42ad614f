/**
 * The bound on what clients may have under way at this replica: bytes of appends between their
 * arrival and their release. At the bound, appends are refused as OVERLOADED, certainly without
 * effect. The bytes are counted until the release and not only until the answer, because that is how
 * long they are in memory.
 *
 * The last eighth is kept for sessions that have nothing else under way: those that send as much as they
 * can are refused first, and one that has a single append to make finds room beside them.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { assert } from '../../libs/values/assert.ts';

const RETRY_AFTER_MS = 100;
const KEPT_SHARE = 1 / 8;

export class Admission {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** null: taken. `underWay`: what else the session has. */
  take(bytes: number, underWay = 0): MeridianError | null {
    const kept = underWay === 0 ? 0 : this.#bytesMax * KEPT_SHARE;
    if (this.#bytes + bytes > this.#bytesMax - kept) {
      return new MeridianError(
        'OVERLOADED',
        `${this.#bytes} bytes of appends wait for their place in the order, ${this.#bytesMax} are allowed`,
        { details: { retryAfterMs: RETRY_AFTER_MS, limit: this.#bytesMax } },
      );
    }
    this.#bytes += bytes;
    return null;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
    assert(this.#bytes >= 0, 'more bytes given back than taken');
  }
}
