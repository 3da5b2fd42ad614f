import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { decodeBatchHeader, decodeRecords, encodeBatch } from './batch.ts';
import { KEY_RANGES_MAX, KeyFilter, keyPrefix } from './key-filter.ts';
import type { KeyRange } from './key-filter.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const range = (from: string, to: string): KeyRange => ({ from: bytes(from), to: bytes(to) });

describe('a key filter', () => {
  it.each<[string, KeyRange, string, boolean]>([
    ['the first key', range('b', 'd'), 'b', true],
    ['not the one before', range('b', 'd'), 'a\xff', false],
    ['a longer key in between', range('b', 'd'), 'c\xff\xff', true],
    ['not the end', range('b', 'd'), 'd', false],
    ['no end when none is given', { from: bytes('b') }, '\xff\xff\xff', true],
    ['the empty key in a range from the beginning', { to: bytes('a') }, '', true],
    ['a prefix itself', keyPrefix(bytes('ab')), 'ab', true],
    ['what begins with the prefix', keyPrefix(bytes('ab')), 'ab\xff\xff', true],
    ['not what follows the prefix', keyPrefix(bytes('ab')), 'ac', false],
    ['a prefix that ends with the highest byte', keyPrefix(bytes('a\xff')), 'a\xff\x00', true],
    ['not what follows such a prefix', keyPrefix(bytes('a\xff')), 'b', false],
    ['a prefix of highest bytes only', keyPrefix(bytes('\xff')), '\xff\xff', true],
  ])('holds %s', (_name, wanted, key, expected) => {
    expect(new KeyFilter([wanted]).matches(bytes(key))).toBe(expected);
  });

  it('matches no record without a key, and a record with an empty one', () => {
    const filter = new KeyFilter([{}]);
    expect(filter.matches(null)).toBe(false);
    expect(filter.matches(bytes(''))).toBe(true);
  });

  it('refuses ranges that can hold nothing, and too many', () => {
    expect(() => new KeyFilter([range('b', 'b')])).toThrow(MeridianError);
    expect(() => new KeyFilter([range('c', 'b')])).toThrow(MeridianError);
    const many = Array.from({ length: KEY_RANGES_MAX + 1 }, () => range('a', 'b'));
    expect(() => new KeyFilter(many)).toThrow(/64 are allowed/);
    expect(() => new KeyFilter(many.slice(1))).not.toThrow();
  });

  it('counts in a frame what it matches record by record', () => {
    const key = fc.option(fc.uint8Array({ maxLength: 3, max: 4 }), { nil: undefined });
    const bound = fc.option(fc.uint8Array({ maxLength: 2, max: 4 }), { nil: undefined });
    fc.assert(
      fc.property(
        fc.array(key, { minLength: 1, maxLength: 8 }),
        bound,
        bound,
        fc.nat(9),
        (keys, from, to, before) => {
          if (from !== undefined && to !== undefined && Buffer.compare(from, to) >= 0) return;
          const filter = new KeyFilter([{ from, to }]);
          const records = keys.map((each) => ({
            body: bytes('x'),
            headers: [['h', bytes('v')]] as const,
            ...(each === undefined ? {} : { key: each }),
          }));
          const batch = encodeBatch({ stream: 's', records });
          const { recordsOffset } = decodeBatchHeader(batch);
          const frame = Buffer.concat([Buffer.alloc(before), batch]);
          const wanted = decodeRecords(batch).filter((record) => filter.matches(record.key));
          expect(filter.countIn(frame, before + recordsOffset, keys.length)).toBe(wanted.length);
        },
      ),
    );
  });
});
