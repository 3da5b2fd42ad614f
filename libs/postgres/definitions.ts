/**
 * Definitions (DDL) in the stream of changes: the transactional messages that the event triggers of
 * the source write (definition-triggers.ts), and how the applier runs them.
 */
import { MeridianError } from '../errors/errors.ts';
import type { LogicalMessage } from './pgoutput.ts';

export const DEFINITION_PREFIX = 'meridian.definition';

export interface Definition {
  /** Of Postgres, for example `ALTER TABLE`. */
  readonly tag: string;
  readonly statement: string;
  /** In force when it ran at the source, and what it means depends on them. */
  readonly settings: ReadonlyMap<string, string>;
}

/** Settings that a message may change, whoever wrote it. */
const SETTINGS = new Set([
  ...['search_path', 'DateStyle', 'IntervalStyle', 'TimeZone', 'standard_conforming_strings'],
  ...['xmloption', 'default_table_access_method', 'transform_null_equals'],
]);

/** null: a message of somebody else. Throws INVALID for one of ours that cannot be understood. */
export function decodeDefinition(message: LogicalMessage): Definition | null {
  if (message.prefix !== DEFINITION_PREFIX) return null;
  const value = parse(message.content);
  const { version, tag, statement, settings } = value;
  if (version !== 1) throw invalid(`version ${JSON.stringify(version)} is not known`);
  if (typeof tag !== 'string' || typeof statement !== 'string' || statement === '') {
    throw invalid('it names no statement');
  }
  if (typeof settings !== 'object' || settings === null) throw invalid('it has no settings');
  const known = new Map<string, string>();
  for (const [name, setting] of Object.entries(settings)) {
    if (SETTINGS.has(name) && typeof setting === 'string') known.set(name, setting);
  }
  return { tag, statement, settings: known };
}

/** Inside a transaction there is no CONCURRENTLY; and nobody waits for this one. */
export function insideTransaction({ tag, statement }: Definition): string {
  if (tag === 'CREATE INDEX' || tag === 'DROP INDEX') {
    return statement.replace(/(\bindex\s+)concurrently\s+/i, '$1');
  }
  if (tag === 'ALTER TABLE') {
    return statement.replace(/(\bdetach\s+partition\s+\S+)\s+concurrently\b/i, '$1');
  }
  return statement;
}

function parse(content: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(content).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw invalid(String(cause));
  }
  throw invalid('it is no object');
}

function invalid(why: string): MeridianError {
  return new MeridianError('INVALID', `a definition in the stream cannot be understood: ${why}`);
}
