/** The nearest of some names to one that was mistyped. */

/** ` (did you mean …?)`, or nothing when none is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === null ? '' : ` (did you mean ${near}?)`;
}

/** A beginning of a name counts as near, too. */
export function nearest(word: string, known: readonly string[]): string | null {
  // Of one letter every other one is as near.
  const bound = Math.min(3, Math.floor(word.length / 2));
  let best: string | null = null;
  let least = bound + 1;
  for (const candidate of known) {
    const away = distance(word, candidate);
    if (away < least) [best, least] = [candidate, away];
  }
  const begins = word.length >= 2 ? known.filter((name) => name.startsWith(word)) : [];
  return best ?? (begins.length === 1 ? (begins[0] ?? null) : null);
}

/** Edits, of which swapping two neighbours is one. */
function distance(one: string, other: string): number {
  let before: number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const same = one[i - 1] === other[j - 1];
      let cost = Math.min(
        (row[j - 1] ?? 0) + (same ? 0 : 1),
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
      );
      const swapped = one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (i > 1 && j > 1 && swapped) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[other.length] ?? 0;
}
