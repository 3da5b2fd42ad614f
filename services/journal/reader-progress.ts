/**
 * When a reader is told how far it has come: together with what brings it to the end, else at most once an
 * interval while the watermark moves, and once an interval that it does not. Knows nothing of what is read.
 */
import type { Micros } from '../../libs/values/numbers.ts';
import type { ReaderContext } from './reader-context.ts';

export class ReaderProgress {
  readonly #context: Pick<ReaderContext, 'progressMicros' | 'stalledMicros' | 'watermark'>;
  #toldAt = -Infinity;
  #told = -1;
  #owed = false;

  constructor(context: Pick<ReaderContext, 'progressMicros' | 'stalledMicros' | 'watermark'>) {
    this.#context = context;
  }

  /** The watermark last told. */
  get told(): number {
    return this.#told;
  }

  /** Some is kept back, because the last was told a moment ago: it falls due with time alone. */
  get owed(): boolean {
    return this.#owed;
  }

  /** What to tell. `covered`: all up to here is sent or held back by a filter; `sent`: something is on its way. */
  due(now: Micros, covered: number, sent: boolean): 'moved' | 'stalled' | null {
    const { progressMicros, stalledMicros, watermark } = this.#context;
    const waited = now - this.#toldAt;
    const moved = covered > this.#told;
    const withItems = sent && covered === watermark.value;
    this.#owed = moved && !withItems && waited < progressMicros;
    if (moved) return this.#owed ? null : 'moved';
    const stalled = waited >= stalledMicros && now - watermark.movedAt >= stalledMicros;
    return stalled ? 'stalled' : null;
  }

  say(covered: number, now: Micros): void {
    this.#told = covered;
    this.#toldAt = now;
  }
}
