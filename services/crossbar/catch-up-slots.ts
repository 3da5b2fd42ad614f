/**
 * Bounds how many subscribers read the instances for themselves at once: each such merge holds its
 * own buffers per instance. Beyond the bound, subscribers wait in line; one that holds a slot while its
 * connection takes nothing gives it up to them.
 */
export class CatchUpSlots {
  #free: number;
  readonly #line = new Set<() => void>();

  constructor(slots: number) {
    this.#free = slots;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /**
   * Calls `begin`, at once or when it is its turn. Returns what gives the slot back, or leaves the
   * line; calling it again does nothing.
   */
  take(begin: () => void): () => void {
    let state: 'waiting' | 'holding' | 'done' = 'waiting';
    const enter = (): void => {
      this.#line.delete(enter);
      this.#free -= 1;
      state = 'holding';
      begin();
    };
    const leave = (): void => {
      if (state === 'waiting') this.#line.delete(enter);
      if (state === 'holding') {
        this.#free += 1;
        state = 'done';
        const [next] = this.#line;
        next?.();
      }
      state = 'done';
    };
    if (this.#free > 0) enter();
    else this.#line.add(enter);
    return leave;
  }
}
