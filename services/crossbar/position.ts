/**
 * Places in the merged order. Every entry stands at (timestamp, instance number); a subscriber that
 * has seen everything up to such a place has seen, of each instance, everything up to a timestamp.
 * The latter is what a cursor carries, so that its format does not depend on how instances are merged.
 * Its instances are the members at the place, which is how one of another database is recognized.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeCursor, encodeCursor } from '../../libs/frames/cursor.ts';
import { U32_MAX } from '../../libs/frames/ints.ts';
import { INSTANCE_MAX } from '../../libs/merge/members.ts';
import type { InstancePosition } from './instance.ts';
import type { Membership } from './membership.ts';

/** After the whole entry of this instance at this timestamp. */
export interface Position {
  readonly timestamp: number;
  readonly instance: number;
}

/** Negative: a comes before b. */
export function comparePositions(a: Position, b: Position): number {
  return a.timestamp - b.timestamp || a.instance - b.instance;
}

/** What to do about a cursor that no crossbar of this cluster makes now. */
const NO_PLACE =
  '. What was seen behind it cannot be told from it, so nothing is sent: resume from an earlier cursor, or from the ' +
  'beginning (services/crossbar/README.md, cursors that are refused)';

/** What the members of one cluster make of positions. */
export class Positions {
  readonly #cluster: string;
  readonly #membership: Membership;

  constructor(cluster: string, membership: Membership) {
    this.#cluster = cluster;
    this.#membership = membership;
  }

  /** After everything up to the watermark, in every instance, also in one that joins later. */
  atWatermark(watermark: number): Position {
    return { timestamp: watermark, instance: INSTANCE_MAX };
  }

  /** Nothing at or below this can follow the position. */
  watermarkAt({ timestamp, instance }: Position): number {
    return instance === INSTANCE_MAX || timestamp === 0 ? timestamp : timestamp - 1;
  }

  /** Where one instance stands at the position. */
  of(position: Position, instance: number): InstancePosition {
    const reached = instance <= position.instance || position.timestamp === 0;
    return {
      timestamp: reached ? position.timestamp : position.timestamp - 1,
      recordOffset: U32_MAX,
    };
  }

  /** A read point may be ahead of what is known: then of the members that are. */
  toCursor(position: Position): Uint8Array {
    return encodeCursor(
      this.#cluster,
      this.#membership.members
        .behind(position)
        .map((instance) => ({ instance, ...this.of(position, instance) })),
    );
  }

  /**
   * Empty: the beginning. INVALID for a cursor that this cluster's crossbars cannot have made; UNAVAILABLE
   * where that cannot be told yet, because it is ahead of what is known here.
   */
  fromCursor(bytes: Uint8Array): Position {
    if (bytes.length === 0) return this.atWatermark(0);
    const parts = decodeCursor(this.#cluster, bytes);
    const numbers = parts.map((part) => part.instance);
    const timestamp = Math.max(0, ...parts.map((part) => part.timestamp));
    const reached = parts.filter((part) => part.timestamp === timestamp);
    const complete = reached.length === parts.length;
    const instance = complete ? INSTANCE_MAX : (reached.at(-1)?.instance ?? INSTANCE_MAX);
    const position = { timestamp, instance };
    this.#checkMembers(numbers, position);
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

  #checkMembers(numbers: readonly number[], position: Position): void {
    const expected = this.#membership.members.behind(position);
    if (expected.join() === numbers.join()) return;
    // That of a read point ahead of its maker, who had not met a change before it.
    const complete = position.instance === INSTANCE_MAX;
    if (complete && this.#membership.everWere(numbers, position)) return;
    // Of before N7 (libs/merge/SPEC.md): made at the entry of a change with the members before it. Which place it is
    // stands in it all the same: who joins there has nothing up to it in the order, who leaves nothing behind it.
    if (!complete && this.#membership.wereBefore(numbers, position)) return;
    const names = numbers.find((number) => !expected.includes(number));
    const what =
      names === undefined
        ? `lacks instance ${String(expected.find((number) => !numbers.includes(number)))}`
        : `names instance ${names}`;
    const ahead = !this.#membership.knows(position);
    throw new MeridianError(
      ahead ? 'UNAVAILABLE' : 'INVALID',
      `the cursor ${what}; this crossbar merges instances ${expected.join(', ')} there` +
        (ahead ? `, as far as it knows: it has come to ${this.#membership.through}` : NO_PLACE),
      { details: { expected: expected.join(','), actual: numbers.join(',') } },
    );
  }
}
