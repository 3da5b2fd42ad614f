/**
 * Under which name appends take effect once: writer id, epoch, and the chain of sequence numbers
 * (each names the one before it, so that a missing one is noticed).
 *
 * An implicit identity belongs to the library and is thrown away whenever its chain cannot go on. An
 * explicit one is the user's: when its chain breaks, the writer ends.
 */
import { randomUUID } from 'node:crypto';
import { MeridianError } from '../errors/errors.ts';
import type { BatchWriter } from '../frames/batch.ts';

/** `lastSeq`: where the writer's chain stands in the journal; 0 for a new writer. */
export interface WriterStart {
  readonly id: string;
  readonly epoch: number;
  readonly lastSeq: number;
}

/** After this silence an implicit identity is not used again: the journal forgets silent writers. */
const IMPLICIT_IDLE_MS = 10 * 60_000;

export class Identity {
  readonly implicit: boolean;
  #id: string;
  readonly #epoch: number;
  #lastSeq: number;
  #usedAt = performance.now();

  /** Without `start`, an implicit one with a random id. */
  constructor(start?: WriterStart) {
    this.implicit = start === undefined;
    this.#id = start?.id ?? randomUUID();
    this.#epoch = start?.epoch ?? 1;
    this.#lastSeq = start?.lastSeq ?? 0;
  }

  /** The next link of the chain, once `accept` takes it. INVALID when `seq` does not go forward. */
  next(seq: number | undefined): BatchWriter {
    const previous = this.#lastSeq;
    const wanted = seq ?? previous + 1;
    if (wanted <= previous || !Number.isSafeInteger(wanted)) {
      const message = `seq ${wanted} is not above the writer's last, ${previous}, which is decided or under way`;
      throw new MeridianError('INVALID', message, { details: { seq: wanted, last: previous } });
    }
    return { id: this.#id, epoch: this.#epoch, seq: wanted, previous };
  }

  accept(link: BatchWriter): void {
    this.#lastSeq = link.seq;
    this.#usedAt = performance.now();
  }

  /** What had these links, in order, certainly took no effect: they can be given out again. */
  takeBack(links: readonly BatchWriter[]): void {
    const first = links.find((link) => link.id === this.#id);
    if (first !== undefined) this.#lastSeq = first.previous;
  }

  /** Implicit only: a new name with a new chain. */
  renew(): void {
    this.#id = randomUUID();
    this.#lastSeq = 0;
  }

  renewIfStale(): void {
    if (this.implicit && performance.now() - this.#usedAt > IMPLICIT_IDLE_MS) this.renew();
  }
}
