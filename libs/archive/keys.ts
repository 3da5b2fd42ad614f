/**
 * Names of the objects of an archive (SPEC.md). Numbers are padded, so that people who list a bucket
 * see them in order; programs never list. Segments and pages have the beginning of their hash in
 * their name: content that was never named (a restored journal writes another order from there on) is in
 * nobody's way. So have states, or chance in its place. From the first sweep on the name also says under
 * which one it was uploaded (sweep.ts).
 */
import { assert } from '../values/assert.ts';

const DIGITS = 16;
const HASH_DIGITS = 16;

export const ROOT_KEY = 'journal.json';
/** Overwritten after each manifest; may lag, may be lost. */
export const HINT_KEY = 'latest.json';

export const segmentKey = (first: number, sha256: string, sweep = 0): string =>
  `segments/${named(first, sha256, sweep)}.seg`;
export const pageKey = (first: number, sha256: string, sweep = 0): string =>
  `pages/${named(first, sha256, sweep)}.json`;
export const stateKey = (ordinal: number, sha256: string, sweep = 0): string =>
  `states/${named(ordinal, sha256, sweep)}.state`;
export const manifestKey = (number: number): string => `manifests/${padded(number)}.json`;

/** Keys come from this file or from a manifest; one that leads elsewhere is a programmer's error. */
export function checkKey(key: string): void {
  assert(isKey(key), `${JSON.stringify(key)} is no key of an archive`);
}

export function isKey(key: string): boolean {
  return /^([a-z]+\/)?[a-z0-9]+\.[a-z]+$/.test(key);
}

/** Only these are ever deleted: never the root, a manifest or the hint. */
export function isRemovable(key: string): boolean {
  return isKey(key) && /^(segments|pages|states)\//.test(key);
}

/** The sweep under which what has this key was uploaded. */
export function sweepOf(key: string): number {
  return Number(/x[0-9a-f]+s(\d+)\./.exec(key)?.[1] ?? 0);
}

function named(number: number, sha256: string, sweep: number): string {
  const uploaded = sweep === 0 ? '' : `s${sweep}`;
  return `${padded(number)}x${sha256.slice(0, HASH_DIGITS)}${uploaded}`;
}

function padded(value: number): string {
  return String(value).padStart(DIGITS, '0');
}
