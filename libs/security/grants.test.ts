import { describe, expect, it } from 'vitest';
import { rightsOf } from './grants.ts';

const RETIRED = '_meridian.retired';

describe('streams that say something about the instance', () => {
  it('are written by who is granted them by name, or an admin, not by a pattern for all others', () => {
    const operations = ['append', 'streams', 'read'] as const;
    const grant = (...streams: string[]) => [{ principal: 'client', operations, streams }];
    const all = rightsOf('client/a', grant('*', '_*'));
    expect(all.covers('append', 'orders')).toBe(true);
    for (const operation of ['append', 'streams'] as const) {
      expect(all.covers(operation, RETIRED)).toBe(false);
      for (const pattern of [RETIRED, '_meridian.*']) {
        expect(rightsOf('client/a', grant(pattern)).covers(operation, RETIRED)).toBe(true);
      }
      expect(rightsOf('admin/a', []).covers(operation, RETIRED)).toBe(true);
    }
    expect(all.covers('read', RETIRED)).toBe(true);
  });
});
