/**
 * What may be done to the old parts of a log while it runs: reading them to see whether they are still
 * what was written, and putting a damaged segment right. When that is done, how fast, and where lost
 * bodies come from is the caller's business.
 */
import type { MeridianError } from '../errors/errors.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { Place } from './checkpoint.ts';
import type { CheckpointShelf } from './checkpoint-shelf.ts';
import { examine, fill, replaceSegment } from './repair.ts';
import type { Damage, KnownBody } from './repair.ts';
import { scrubSegment } from './scrub.ts';
import type { Pace, ScrubDone } from './scrub.ts';
import type { SegmentReader } from './segment-reader.ts';

export type { Damage, KnownBody } from './repair.ts';
export type { Pace, ScrubDone } from './scrub.ts';

export interface RepairSource {
  /** What is known of the bodies in the damaged stretch; `bytes` is the segment as it is. Rejects to give up. */
  bodies(damage: Damage, bytes: Buffer): Promise<readonly KnownBody[]>;
  /** Frames are about to become void: what they may have said must be on disk elsewhere when it resolves. */
  beforeVoid(count: number): Promise<void>;
}

export interface Repaired {
  readonly damages: readonly Damage[];
  readonly voids: number;
}

export interface CareOptions {
  readonly place: Place;
  readonly shelf: CheckpointShelf;
  readonly reader: SegmentReader;
  readonly firstSegment: () => number;
  readonly closedBefore: () => number;
}

export class LogCare {
  readonly #options: CareOptions;

  constructor(options: CareOptions) {
    this.#options = options;
  }

  /** Segments below are written no more, and each is followed by one with frames. */
  get closedBefore(): number {
    return this.#options.closedBefore();
  }

  checkSegment(segment: number, pace: Pace, done: ScrubDone): void {
    scrubSegment(this.#options.place, segment, pace, (finding) => {
      done(this.#isThere(segment) ? finding : null);
    });
  }

  /** A section at a time, with a pause after each. */
  checkCheckpoint(number: number, pace: Pace, done: ScrubDone): void {
    const { shelf } = this.#options;
    const sections = readCheckpoint(this.#options.place, number);
    const next = (): void => {
      try {
        const section = shelf.numbers.includes(number) ? sections.next() : { done: true as const };
        if (section.done === true) {
          sections.return(undefined);
          done(null);
        } else pace(section.value.length, next);
      } catch (error) {
        done(shelf.numbers.includes(number) ? (error as MeridianError) : null);
      }
    };
    next();
  }

  setCheckpointAside(number: number): void {
    this.#options.shelf.setAside(number);
  }

  /** Rejects with CORRUPT when it cannot be done with what is known, and as the source does. */
  async repairSegment(segment: number, source: RepairSource): Promise<Repaired> {
    const { place, reader } = this.#options;
    const { bytes, damages } = examine(place, segment);
    let voids = 0;
    for (const damage of damages) {
      voids += fill(bytes, place, segment, damage, await source.bodies(damage, bytes));
    }
    if (voids > 0) await source.beforeVoid(voids);
    await new Promise<void>((resolve, reject) => {
      const isWanted = (): boolean => this.#isThere(segment);
      replaceSegment(place, segment, { bytes, isWanted }, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    reader.forget(segment);
    return { damages, voids };
  }

  /** It may have been deleted meanwhile. */
  #isThere(segment: number): boolean {
    return segment >= this.#options.firstSegment();
  }
}
