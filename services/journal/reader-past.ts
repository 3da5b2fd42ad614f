/**
 * Where a read stands in the archive, while it does: the place, and the segment that holds it when it is in
 * memory. A read asks for it in every pump and lets go at the end of it, so that a thousand readers whose
 * clients are slow hold no segment.
 */
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { ArchiveView, History, Place } from './archive-history.ts';

export class Past {
  readonly #history: History | null;
  readonly #stream: string | null;
  /** null: the read is in the log. */
  #place: Place | null;
  #view: ArchiveView | null = null;
  #fetching = false;

  constructor(history: History | null, stream: string | null, from: number | null) {
    this.#history = history;
    this.#stream = stream;
    this.#place = from === null ? null : { timestamp: from };
  }

  get isHere(): boolean {
    return this.#place !== null;
  }

  get view(): ArchiveView | null {
    return this.#view;
  }

  /** The segment goes, the place stays. */
  standAt(place: Place): void {
    this.#place = place;
    this.#view = null;
  }

  leave(): void {
    this.#place = null;
    this.#view = null;
  }

  /**
   * Returns the view and the ordinal to stand at, or null: it is on its way, and `ready` is called; with
   * null when the log has what follows.
   */
  open(
    fromSeqNum: number,
    ready: (error: MeridianError | null, view: ArchiveView | null) => void,
  ): ArchiveView | null {
    const place = this.#place;
    const history = this.#history;
    if (this.#view !== null) return this.#view;
    if (history === null || place === null || this.#fetching) return null;
    this.#view = 'ordinal' in place ? history.peek(place.ordinal) : null;
    if (this.#view !== null) return this.#view;
    this.#fetching = true;
    history.find(place, this.#stream, fromSeqNum, (error, view) => {
      this.#fetching = false;
      // The read has found its way without it.
      if (this.#place !== place) return;
      this.#view = view;
      ready(error, view);
    });
    return null;
  }

  /** Of the place; of a timestamp only when its view is here. */
  get ordinal(): number {
    const index = this.#view?.index;
    const place = this.#place;
    if (place === null) return 0;
    const asked = 'ordinal' in place ? place.ordinal : index?.firstAtOrAbove(place.timestamp);
    return Math.max(asked ?? 0, index?.first ?? 0);
  }
}
