/**
 * Assertions: for a programmer's error, never for bad input or a broken world. They stay on in
 * production, because a replica in a wrong state must stop before the state spreads.
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}

/** Array access whose bounds the caller has established. */
export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  // The message is built only on failure: this runs everywhere.
  if (item === undefined) throw new AssertionError(`index ${index} outside 0..${items.length - 1}`);
  return item;
}
