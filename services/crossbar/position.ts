/**
 * Places in the merged order. Every entry stands at (timestamp, instance number); a subscriber that
 * has seen everything up to such a place has seen, of each instance, everything up to a timestamp.
 * The latter is what a cursor carries, so that its format does not depend on how instances are merged.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeCursor, encodeCursor } from '../../libs/frames/cursor.ts';
import { U32_MAX } from '../../libs/frames/ints.ts';
import { assert } from '../../libs/values/assert.ts';
import type { InstancePosition } from './instance.ts';

/** After the whole entry of this instance at this timestamp. */
export interface Position {
  readonly timestamp: number;
  readonly instance: number;
}

/** Negative: a comes before b. */
export function comparePositions(a: Position, b: Position): number {
  return a.timestamp - b.timestamp || a.instance - b.instance;
}

/** What one cluster's instances make of positions. Numbers ascending. */
export class Positions {
  readonly #cluster: string;
  readonly #numbers: readonly number[];
  readonly #last: number;

  constructor(cluster: string, numbers: readonly number[]) {
    const last = numbers.at(-1);
    assert(last !== undefined, 'a cluster has an instance');
    this.#cluster = cluster;
    this.#numbers = numbers;
    this.#last = last;
  }

  /** After everything up to the watermark, in every instance. */
  atWatermark(watermark: number): Position {
    return { timestamp: watermark, instance: this.#last };
  }

  /** Nothing at or below this can follow the position. */
  watermarkAt(position: Position): number {
    const complete = position.instance === this.#last || position.timestamp === 0;
    return complete ? position.timestamp : position.timestamp - 1;
  }

  /** Where one instance stands at the position. */
  of(position: Position, instance: number): InstancePosition {
    const reached = instance <= position.instance || position.timestamp === 0;
    return {
      timestamp: reached ? position.timestamp : position.timestamp - 1,
      recordOffset: U32_MAX,
    };
  }

  toCursor(position: Position): Uint8Array {
    return encodeCursor(
      this.#cluster,
      this.#numbers.map((instance) => ({ instance, ...this.of(position, instance) })),
    );
  }

  /** Empty: the beginning. INVALID for a cursor that this cluster's crossbars cannot have made. */
  fromCursor(bytes: Uint8Array): Position {
    if (bytes.length === 0) return this.atWatermark(0);
    const parts = decodeCursor(this.#cluster, bytes);
    const numbers = parts.map((part) => part.instance);
    for (const number of numbers) {
      if (!this.#numbers.includes(number)) throw this.#foreign(`names instance ${number}`, numbers);
    }
    for (const number of this.#numbers) {
      if (!numbers.includes(number)) throw this.#foreign(`lacks instance ${number}`, numbers);
    }
    const timestamp = Math.max(...parts.map((part) => part.timestamp));
    const reached = parts.filter((part) => part.timestamp === timestamp);
    const position = { timestamp, instance: reached.at(-1)?.instance ?? this.#last };
    for (const part of parts) {
      const expected = this.of(position, part.instance);
      if (part.timestamp !== expected.timestamp || part.recordOffset !== expected.recordOffset) {
        throw new MeridianError(
          'INVALID',
          `the cursor is no place in the merged order: instance ${part.instance} stands at ${part.timestamp}`,
        );
      }
    }
    return position;
  }

  #foreign(what: string, numbers: readonly number[]): MeridianError {
    return new MeridianError(
      'INVALID',
      `the cursor ${what}; this crossbar merges instances ${this.#numbers.join(', ')}`,
      { details: { expected: this.#numbers.join(','), actual: numbers.join(',') } },
    );
  }
}
