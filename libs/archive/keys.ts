/**
 * Names of the objects of an archive (SPEC.md). Numbers are padded, so that people who list a bucket
 * see them in order; programs never list.
 */
import { assert } from '../values/assert.ts';

const DIGITS = 16;

export const ROOT_KEY = 'journal.json';
/** Overwritten after each manifest; may lag, may be lost. */
export const HINT_KEY = 'latest.json';

export const segmentKey = (first: number): string => `segments/${padded(first)}.seg`;
export const pageKey = (first: number): string => `pages/${padded(first)}.json`;
export const manifestKey = (number: number): string => `manifests/${padded(number)}.json`;
export const stateKey = (ordinal: number): string => `states/${padded(ordinal)}.state`;

/** Keys come from this file or from a manifest; one that leads elsewhere is a programmer's error. */
export function checkKey(key: string): void {
  assert(isKey(key), `${JSON.stringify(key)} is no key of an archive`);
}

export function isKey(key: string): boolean {
  return /^([a-z]+\/)?[a-z0-9]+\.[a-z]+$/.test(key);
}

function padded(value: number): string {
  return String(value).padStart(DIGITS, '0');
}
