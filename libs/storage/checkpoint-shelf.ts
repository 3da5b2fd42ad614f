/**
 * The checkpoints of one log: which there are, which one the log was opened with, and what was wrong
 * with those that could not be used. Bytes and their checks are in checkpoint.ts; which checkpoints
 * are worth keeping is the caller's decision.
 */
import { join } from 'node:path';
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import { readCheckpoint, saveCheckpoint } from './checkpoint.ts';
import type { Place } from './checkpoint.ts';
import { checkpointName, checkpointOfName, isUnfinished } from './format.ts';
import { ASIDE_PREFIX } from './identity.ts';

export class CheckpointShelf {
  readonly #place: Place;
  #numbers: number[] = [];
  #highest = 0;
  #isSaving = false;
  openedWith: number | null = null;
  readonly findings: MeridianError[] = [];

  constructor(place: Place) {
    this.#place = place;
  }

  get numbers(): readonly number[] {
    return this.#numbers;
  }

  /**
   * Offers the checkpoints to `take`, the newest first, until it takes one; returns the segment from
   * which the log must be replayed. What cannot be read is set aside, never deleted.
   */
  open(take: ((sections: Iterable<Uint8Array>) => number) | undefined): number {
    const { files, directory } = this.#place;
    for (const name of files.list(directory) ?? []) {
      if (isUnfinished(name)) files.remove(join(directory, name));
      const number = checkpointOfName(name.replace(ASIDE_PREFIX, ''));
      if (number === undefined) continue;
      this.#highest = Math.max(this.#highest, number);
      if (!name.startsWith(ASIDE_PREFIX)) this.#numbers.push(number);
    }
    if (take === undefined) return 1;
    for (const number of [...this.#numbers].reverse()) {
      try {
        const from = take(this.read(number));
        this.openedWith = number;
        return from;
      } catch (error) {
        if (!(error instanceof MeridianError) || error.reason !== 'CORRUPT') throw error;
        this.findings.push(error);
        this.setAside(number);
      }
    }
    return 1;
  }

  read(number: number): Generator<Uint8Array> {
    return readCheckpoint(this.#place, number);
  }

  save(sections: Iterator<Uint8Array>, done: (error: Error | null, number: number) => void): void {
    assert(!this.#isSaving, 'one checkpoint at a time');
    this.#isSaving = true;
    const number = (this.#highest += 1);
    saveCheckpoint(this.#place, number, sections, (error) => {
      this.#isSaving = false;
      if (error === null) this.#numbers.push(number);
      done(error, number);
    });
  }

  /** It cannot be used, and is kept for whoever looks into it. */
  setAside(number: number): void {
    const { files, directory } = this.#place;
    if (!this.#numbers.includes(number)) return;
    const name = checkpointName(number);
    files.rename(join(directory, name), join(directory, ASIDE_PREFIX + name));
    this.#numbers = this.#numbers.filter((other) => other !== number);
  }

  drop(number: number): void {
    const { files, directory } = this.#place;
    if (!this.#numbers.includes(number)) return;
    files.remove(join(directory, checkpointName(number)));
    this.#numbers = this.#numbers.filter((other) => other !== number);
  }
}
