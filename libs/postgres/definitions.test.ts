import { describe, expect, it } from 'vitest';
import { decodeDefinition, insideTransaction } from './definitions.ts';
import { lsn } from './lsn.ts';

describe('a definition in the stream', () => {
  const message = (content: string, prefix = 'meridian.definition') => ({
    ...{ kind: 'message' as const, transactional: true, lsn: lsn(8), prefix },
    content: Buffer.from(content),
  });

  it('is refused when it is malformed or of a later version, and passed over when it is not ours', () => {
    for (const content of ['', '[', 'null', '{}', '{"version":2}', '{"version":1,"tag":"X"}']) {
      expect(() => decodeDefinition(message(content))).toThrow(/definition/);
    }
    expect(decodeDefinition(message('whatever', 'app.event'))).toBeNull();
  });

  it('may change only the settings its meaning depends on', () => {
    const settings = {
      search_path: 'a',
      session_replication_role: 'origin',
      log_statement: 'none',
    };
    const text = JSON.stringify({ version: 1, tag: 'CREATE TABLE', statement: 'x', settings });
    expect([...(decodeDefinition(message(text))?.settings ?? [])]).toEqual([['search_path', 'a']]);
  });

  it('loses CONCURRENTLY, which needs a transaction of its own', () => {
    const settings = new Map<string, string>();
    const run = (tag: string, statement: string): string =>
      insideTransaction({ tag, statement, settings });
    expect(run('CREATE INDEX', 'create unique index CONCURRENTLY i ON t (a)')).toBe(
      'create unique index i ON t (a)',
    );
    expect(run('DROP INDEX', 'DROP INDEX concurrently i')).toBe('DROP INDEX i');
    expect(run('CREATE TABLE', 'CREATE TABLE concurrently (id int)')).toBe(
      'CREATE TABLE concurrently (id int)',
    );
  });
});
