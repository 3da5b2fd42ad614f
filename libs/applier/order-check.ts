/**
 * What every subscription promises, checked where it arrives: positions strictly increase, the watermark
 * never goes back, and no record comes at or below a watermark that was told. A breach is an error and
 * not something to pass on.
 */
import { MeridianError } from '../errors/errors.ts';
import { DeliveryWalker } from '../frames/delivery-walker.ts';

export class OrderCheck {
  #timestamp = 0;
  #instance = 0;
  #offset = -1;
  #watermark = 0;

  get watermark(): number {
    return this.#watermark;
  }

  /** Throws CORRUPT. */
  batches(frames: Uint8Array): void {
    const walker = new DeliveryWalker(frames);
    while (walker.next()) {
      const { timestamp, instance, recordOffset, recordCount } = walker;
      const after =
        timestamp - this.#timestamp || instance - this.#instance || recordOffset - this.#offset;
      if (after <= 0 || timestamp <= this.#watermark) {
        const place = `${timestamp}/${instance}/${recordOffset}`;
        const last = `${this.#timestamp}/${this.#instance}/${this.#offset}`;
        throw new MeridianError(
          'CORRUPT',
          `${place} came after ${last} and the watermark ${this.#watermark}`,
        );
      }
      this.#timestamp = timestamp;
      this.#instance = instance;
      this.#offset = recordOffset + recordCount - 1;
    }
  }

  /** Throws CORRUPT. */
  progress(watermark: number): void {
    if (watermark < this.#watermark) {
      const message = `the watermark went back from ${this.#watermark} to ${watermark}`;
      throw new MeridianError('CORRUPT', message);
    }
    this.#watermark = watermark;
  }
}
