/**
 * The names of streams in ascending order (by UTF-16 units), for listing. Sorted when somebody lists
 * and something has changed, so that creating a stream costs nothing here.
 */
export class SortedNames {
  #sorted: string[] = [];
  #added: string[] = [];

  add(name: string): void {
    this.#added.push(name);
  }

  /** Up to `limit` names with the prefix above `after` for which `wanted` says yes. */
  page(
    { prefix, after, limit }: { prefix: string; after: string | null; limit: number },
    wanted: (name: string) => boolean,
  ): { names: string[]; more: boolean } {
    const sorted = this.#settle();
    const names: string[] = [];
    const from = after !== null && after >= prefix ? after : prefix;
    for (let i = lowerBound(sorted, from); i < sorted.length; i += 1) {
      const name = sorted[i] ?? '';
      if (!name.startsWith(prefix)) break;
      if (name === after || !wanted(name)) continue;
      if (names.length === limit) return { names, more: true };
      names.push(name);
    }
    return { names, more: false };
  }

  #settle(): readonly string[] {
    if (this.#added.length > 0) {
      const added = this.#added.sort(compare);
      this.#added = [];
      this.#sorted = merged(this.#sorted, added);
    }
    return this.#sorted;
  }
}

function merged(left: readonly string[], right: readonly string[]): string[] {
  const all: string[] = [];
  let i = 0;
  for (const name of right) {
    for (let next = left[i]; next !== undefined && next < name; next = left[i]) {
      all.push(next);
      i += 1;
    }
    all.push(name);
  }
  while (i < left.length) all.push(left[i++] ?? '');
  return all;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Position of the first name ≥ `wanted`. */
function lowerBound(names: readonly string[], wanted: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] ?? '') < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
