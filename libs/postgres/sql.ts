/** Quoting for SQL text. Identifiers are always quoted; values are bound, except where SQL takes none. */
import { MeridianError } from '../errors/errors.ts';

export function quoteIdentifier(name: string): string {
  if (name.includes('\0')) throw new MeridianError('INVALID', 'a name with a zero byte');
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteTable(schema: string, table: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
}

/**
 * First in every transaction of ours that changes what stands in catalogues: two sessions that find the
 * schema missing, grant on it, or change the settings of the database at once fail in each other's way.
 */
export const LOCK_OURS = "SELECT pg_advisory_xact_lock(hashtext('meridian'))";

/** For commands that take no parameters; the result is the same with any standard_conforming_strings. */
export function quoteLiteral(value: string): string {
  if (value.includes('\0')) throw new MeridianError('INVALID', 'a text with a zero byte');
  const quoted = `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return value.includes('\\') ? ` E${quoted}` : quoted;
}

const SPECIAL = /["\\]/;

/** The text of a `text[]`; nested arrays inside are plain text to it. */
export function arrayLiteral(values: readonly (string | null)[]): string {
  let out = '{';
  for (const value of values) {
    if (out.length > 1) out += ',';
    if (value === null) out += 'NULL';
    else if (SPECIAL.test(value)) out += `"${value.replace(/["\\]/g, '\\$&')}"`;
    else out += `"${value}"`;
  }
  return `${out}}`;
}
