import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { at } from '../values/assert.ts';
import { decodeChangeBatch, encodeHeader, encodeWatermark, sameSource } from './change-format.ts';
import type { TransactionHeader } from './change-format.ts';
import { LSN_ZERO, formatLsn, lsn, parseLsn } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import { CODE, decodeMessage, encodeMessage } from './pgoutput.ts';
import type { Message, NewRow, Relation } from './pgoutput.ts';
import { arrayLiteral, quoteIdentifier, quoteLiteral } from './sql.ts';
import { TextArray } from './text-array.ts';
import { TransactionAssembler } from './transaction-assembler.ts';
import { PartBuilder, TransactionEncoder } from './transaction-encoder.ts';
import type { Part, Skipped } from './transaction-encoder.ts';
import { UNCHANGED } from './tuple.ts';
import type { Tuple } from './tuple.ts';

const SOURCE = { systemId: '18446744073709551615', timeline: 3, database: 'dätä' };

const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((it) => !it.includes('\0'));
const name = text.filter((it) => it !== '');
const u32 = fc.nat(0xffff_ffff);
const lsns = fc.nat(Number.MAX_SAFE_INTEGER).map(lsn);
const value = fc.oneof(text, fc.constant(null), fc.constant<typeof UNCHANGED>(UNCHANGED));
const relation: fc.Arbitrary<Relation> = fc.record({
  kind: fc.constant('relation' as const),
  id: u32,
  schema: name,
  table: name,
  identity: fc.constantFrom('default', 'nothing', 'full', 'index'),
  columns: fc.array(
    fc.record({ name, key: fc.boolean(), typeId: u32, typeModifier: fc.integer({ min: -1 }) }),
    { maxLength: 5 },
  ),
});
const insert: fc.Arbitrary<NewRow> = fc.record({
  kind: fc.constant('insert' as const),
  relation: u32,
  values: fc.array(value, { maxLength: 6 }),
});
const header: fc.Arbitrary<TransactionHeader> = fc
  .record({
    snapshot: fc.boolean(),
    final: fc.boolean(),
    part: u32,
    attempt: u32,
    xid: u32,
    commitLsn: lsns,
    end: lsns,
    commitTime: fc.nat(Number.MAX_SAFE_INTEGER),
    timeline: u32,
    systemId: fc.bigInt(0n, 2n ** 64n - 1n),
    database: name,
  })
  .map(({ end, timeline, systemId, database, ...rest }) => ({
    ...rest,
    kind: 'transaction',
    source: { systemId: String(systemId), timeline, database },
    endLsn: rest.final ? lsn(Math.max(1, end)) : LSN_ZERO,
  }));

describe('LSN', () => {
  test('is printed as Postgres prints it and read back', () => {
    expect(formatLsn(parseLsn('16/B374D848'))).toBe('16/B374D848');
    fc.assert(
      fc.property(lsns, (it) => {
        expect(parseLsn(formatLsn(it))).toBe(it);
      }),
    );
  });

  test('refuses what is none, and what would lose precision', () => {
    for (const bad of ['', '1', '1/', 'x/1', '1/123456789', '200000/0', '-1/0']) {
      expect(() => parseLsn(bad), bad).toThrow(MeridianError);
    }
  });
});

describe('decoder', () => {
  test('reads back what the encoder of the initial copy writes', () => {
    fc.assert(
      fc.property(fc.oneof(relation, insert), (message) => {
        expect(plain(decodeMessage(encodeMessage(message)))).toEqual(message);
      }),
    );
  });

  test('answers every malformed message with INVALID, never with a crash or a hang', () => {
    const valid = fc.oneof(relation, insert).map((it) => Buffer.from(encodeMessage(it)));
    const kinds = fc.constantFrom(...Object.values(CODE));
    const noise = fc
      .tuple(kinds, fc.uint8Array({ maxLength: 60 }))
      .map(([code, rest]) => Buffer.from([code, ...rest]));
    const mutated = fc
      .tuple(valid, fc.nat(), fc.nat(255), fc.nat())
      .map(([bytes, place, byte, cut]) => {
        const copy = Buffer.from(bytes);
        copy[place % copy.length] = byte;
        return copy.subarray(0, cut % 3 === 0 ? cut % (copy.length + 1) : copy.length);
      });
    fc.assert(
      fc.property(fc.oneof(noise, mutated), (bytes) => {
        try {
          decodeMessage(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: 'MeridianError', reason: 'INVALID' });
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test('refuses a valid message that is cut short or has a byte too many', () => {
    fc.assert(
      fc.property(fc.oneof(relation, insert), fc.nat(), (message, cut) => {
        const bytes = Buffer.from(encodeMessage(message));
        expect(() => decodeMessage(bytes.subarray(0, cut % bytes.length))).toThrow(MeridianError);
        expect(() => decodeMessage(Buffer.concat([bytes, Buffer.from([0])]))).toThrow(
          MeridianError,
        );
      }),
    );
  });
});

describe('row', () => {
  const whole = fc.array(fc.oneof(text, fc.constant(null)), { minLength: 1, maxLength: 6 });

  test('is told from another by its key: alike are alike, of texts only numbers may collide', () => {
    const digits = fc.nat(1e6).map(String);
    const keys = fc.array(fc.oneof(digits, text, fc.constant(null)), {
      minLength: 2,
      maxLength: 2,
    });
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        for (const columns of [[0], [1], [0, 1]]) {
          const same = columns.every((i) => a[i] === b[i]);
          const [left, right] = [row(a), row(b)];
          expect(columns.every((i) => left.sameValue(i, right))).toBe(same);
          const asNumbers = columns.length === 1 && columns.every((i) => /^\d+$/.test(a[i] ?? ''));
          if (same) expect(left.identity(columns)).toBe(right.identity(columns));
          else if (!asNumbers) expect(left.identity(columns)).not.toBe(right.identity(columns));
        }
      }),
    );
    expect(row(['1', '23']).identity([0, 1])).not.toBe(row(['12', '3']).identity([0, 1]));
    expect(row([null]).identity([0])).not.toBe(row(['n']).identity([0]));
  });

  test('goes into a binary text[] as it stands', () => {
    fc.assert(
      fc.property(fc.array(whole, { minLength: 1, maxLength: 30 }), (rows) => {
        const array = new TextArray();
        for (const values of rows) array.push(row(values), values.length - 1);
        expect(elements(array.parameter())).toEqual(rows.map((values) => values.at(-1) ?? null));
      }),
    );
  });
});

describe('change format', () => {
  test('reads back headers and watermarks, all 64 bits of a system id included', () => {
    fc.assert(
      fc.property(header, (it) => {
        expect(decodeChangeBatch([encodeHeader(it)])).toEqual({ header: it, messages: [] });
        const watermark = { kind: 'watermark' as const, source: it.source, lsn: it.commitLsn };
        const back = decodeChangeBatch([encodeWatermark(watermark)]).header;
        expect(back).toEqual(watermark);
        expect(sameSource(back.source, it.source)).toBe(true);
      }),
    );
  });

  test('answers malformed batches with INVALID and names a newer version', () => {
    expect(() => decodeChangeBatch([])).toThrow(MeridianError);
    expect(() => decodeChangeBatch([Buffer.from([0x48, 9])])).toThrow(/version 9.*upgrade/);
    fc.assert(
      fc.property(header, fc.nat(), fc.nat(255), (it, place, byte) => {
        const bytes = Buffer.from(encodeHeader(it));
        bytes[place % bytes.length] = byte;
        try {
          decodeChangeBatch([bytes]);
        } catch (error) {
          expect(error).toMatchObject({ reason: 'INVALID' });
        }
      }),
    );
  });

  test('a transaction comes out as it went in, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(insert, { maxLength: 40 }),
        fc.integer({ min: 150, max: 600 }),
        fc.integer({ min: 2, max: 9 }),
        (messages, bytesMax, recordsMax) => {
          const parts = cut(messages, { bytesMax, recordsMax });
          const assembler = new TransactionAssembler();
          const out: Message[] = [];
          for (const [i, part] of parts.entries()) {
            const bytes = part.records.reduce((sum, record) => sum + 8 + record.length, 0);
            expect(bytes).toBeLessThanOrEqual(bytesMax);
            expect(part.records.length).toBeLessThanOrEqual(recordsMax);
            expect(part.header).toMatchObject({ part: i, final: i === parts.length - 1 });
            const it = assembler.push(part.records);
            if (it.kind === 'part') out.push(...it.messages);
          }
          expect(out.map(plain)).toEqual(messages);
          expect(assembler.unfinished).toBe(false);
        },
      ),
    );
  });
});

describe('assembler', () => {
  const messages: NewRow[] = Array.from({ length: 12 }, (_, i) => ({
    kind: 'insert',
    relation: 1,
    values: [String(i), 'x'.repeat(20)],
  }));
  const small = { bytesMax: 200, recordsMax: 4 };

  test('drops doubled parts, the rest of a dead shipper, and parts that come too late', () => {
    const dead = cut(messages, small, 1);
    const good = cut(messages, small, 2);
    expect(good.length).toBeGreaterThan(3);
    const assembler = new TransactionAssembler();
    const order = [
      at(dead, 0),
      at(dead, 1), // then the shipper died
      at(good, 0),
      at(good, 0),
      at(good, 1),
      at(dead, 0),
      at(dead, 2),
      at(good, 1),
      at(good, 0),
      ...good.slice(2),
      at(good, 0),
      at(dead, 0),
      at(good, 1), // doubles that a retry left behind
    ];
    const kinds = order.map((part) => assembler.push(part.records).kind);
    const rest = good.slice(2).map(() => 'part');
    expect(kinds).toEqual([
      'part',
      'part',
      'part',
      'dropped',
      'part',
      'dropped',
      'dropped',
      'dropped',
      'dropped',
      ...rest,
      'dropped',
      'dropped',
      'dropped',
    ]);
    expect(assembler.unfinished).toBe(false);
  });

  test('takes a transaction whose commit record begins where the initial copy stands', () => {
    const copy = new PartBuilder(
      { source: SOURCE, snapshot: true, attempt: 1, xid: 0, commitLsn: 1000 as Lsn, commitTime: 5 },
      small,
    );
    const parts = messages.flatMap((message) => copy.add(encodeMessage(message)) ?? []);
    const assembler = new TransactionAssembler();
    for (const part of [...parts, copy.finish(1000 as Lsn)]) assembler.push(part.records);
    expect(assembler.push(at(parts, 0).records).kind).toBe('dropped');
    const kinds = cut(messages, small).map((part) => assembler.push(part.records).kind);
    expect(new Set(kinds)).toEqual(new Set(['part']));
  });

  test('says CORRUPT when the final part comes and another is missing', () => {
    const parts = cut(messages, small);
    for (const missing of [0, 1]) {
      const assembler = new TransactionAssembler();
      expect(() => {
        for (const [i, part] of parts.entries()) {
          if (i !== missing) assembler.push(part.records);
        }
      }).toThrow(expect.objectContaining({ reason: 'CORRUPT' }));
    }
  });
});

describe('encoder', () => {
  const table: Relation = {
    kind: 'relation',
    id: 7,
    schema: 'public',
    table: 't',
    identity: 'default',
    columns: [{ name: 'id', key: true, typeId: 23, typeModifier: -1 }],
  };
  const row = encodeMessage({ kind: 'insert', relation: 7, values: ['1'] });

  test('puts the description of a table into every transaction that touches it, once', () => {
    const encoder = open();
    encoder.push(encodeMessage(table));
    for (const commit of [1000, 2000]) {
      const [part] = transaction(encoder, commit, [row, row]);
      expect(part).toMatchObject({ kind: 'part', header: { part: 0, final: true } });
      const records = part?.kind === 'part' ? part.records.slice(1) : [];
      expect(records.map((it) => decodeMessage(it).kind)).toEqual(['relation', 'insert', 'insert']);
    }
  });

  test('skips what the journal holds, what came by replication, and our own tables', () => {
    const encoder = open(1500);
    encoder.push(encodeMessage(table));
    encoder.push(encodeMessage({ ...table, id: 8, schema: 'meridian' }));
    const own = encodeMessage({ kind: 'insert', relation: 8, values: ['1'] });
    const origin = Buffer.concat([Buffer.from([CODE.origin]), u64(5), Buffer.from('meridian_b\0')]);
    const foreign = Buffer.concat([Buffer.from([CODE.origin]), u64(5), Buffer.from('other\0')]);
    const kinds = [
      transaction(encoder, 1000, [row]),
      transaction(encoder, 2000, [origin, row]),
      transaction(encoder, 3000, [own]),
      transaction(encoder, 4000, []),
      transaction(encoder, 5000, [foreign, own, row]),
    ].map((out) => at(out, 0).kind);
    expect(kinds).toEqual(['skipped', 'skipped', 'skipped', 'skipped', 'part']);
  });

  test('refuses a stream out of order: change without transaction or table, commit of another', () => {
    expect(() => open().push(row)).toThrow(/outside a transaction/);
    expect(() => transaction(open(), 1000, [row])).toThrow(/not described/);
    const encoder = open();
    encoder.push(begin(1000));
    expect(() => encoder.push(begin(2000))).toThrow(/Begin inside/);
    expect(() => encoder.push(commit(2000))).toThrow(/without its Begin/);
  });
});

describe('SQL text', () => {
  test('quotes names, literals and array elements', () => {
    expect(quoteIdentifier('a"b')).toBe('"a""b"');
    expect(quoteLiteral("a'b\\c")).toBe(" E'a''b\\\\c'");
    expect(arrayLiteral(['a', null, 'NULL', '', 'q"\\', '{x,y}'])).toBe(
      '{"a",NULL,"NULL","","q\\"\\\\","{x,y}"}',
    );
    expect(() => quoteIdentifier('a\0')).toThrow(MeridianError);
  });
});

function cut(
  messages: readonly NewRow[],
  limits: { bytesMax: number; recordsMax: number },
  attempt = 1,
): Part[] {
  const builder = new PartBuilder(
    { source: SOURCE, snapshot: false, attempt, xid: 9, commitLsn: 1000 as Lsn, commitTime: 5 },
    limits,
  );
  const parts = messages.flatMap((message) => builder.add(encodeMessage(message)) ?? []);
  return [...parts, builder.finish(1040 as Lsn)];
}

/** With the values of a row as they read, to be compared. */
function plain(message: Message): Message | NewRow {
  return message.kind === 'insert' ? { ...message, values: message.values.values() } : message;
}

function row(values: NewRow['values']): Tuple {
  const message = decodeMessage(encodeMessage({ kind: 'insert', relation: 1, values }));
  if (message.kind !== 'insert') throw new Error('an insert was encoded');
  return message.values;
}

function open(after = 0): TransactionEncoder {
  return new TransactionEncoder({ source: SOURCE, attempt: 1, after: lsn(after) });
}

function transaction(
  encoder: TransactionEncoder,
  at: number,
  messages: readonly Uint8Array[],
): readonly (Part | Skipped)[] {
  encoder.push(begin(at));
  for (const message of messages) encoder.push(message);
  return encoder.push(commit(at));
}

function begin(at: number): Buffer {
  return Buffer.concat([Buffer.from([CODE.begin]), u64(at), u64(1), Buffer.from([0, 0, 0, 9])]);
}

function commit(at: number): Buffer {
  return Buffer.concat([Buffer.from([CODE.commit, 0]), u64(at), u64(at + 40), u64(1)]);
}

/** What array_recv would read. */
function elements(bytes: Buffer): (string | null)[] {
  const [dimensions, flags, type, count, lower] = [0, 4, 8, 12, 16].map((i) =>
    bytes.readInt32BE(i),
  );
  expect([dimensions, type, lower]).toEqual([1, 25, 1]);
  const out: (string | null)[] = [];
  let offset = 20;
  for (let i = 0; i < (count ?? 0); i++) {
    const length = bytes.readInt32BE(offset);
    offset += 4;
    out.push(length < 0 ? null : bytes.toString('utf8', offset, offset + length));
    offset += Math.max(0, length);
  }
  expect(offset).toBe(bytes.length);
  expect(flags).toBe(out.includes(null) ? 1 : 0);
  return out;
}

function u64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}
