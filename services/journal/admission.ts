/**
 * The bound on what clients may have under way at this replica: bytes of appends between their
 * arrival and their release. At the bound, appends are refused as OVERLOADED, certainly without
 * effect. The bytes are counted until the release and not only until the answer, because that is how
 * long they are in memory.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { assert } from '../../libs/values/assert.ts';

const RETRY_AFTER_MS = 100;

export class Admission {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** null: taken. */
  take(bytes: number): MeridianError | null {
    if (this.#bytes + bytes > this.#bytesMax) {
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
