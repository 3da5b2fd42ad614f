/** Handovers as an applier sees them: what counts before, behind, and of whom. */
import { expect, test } from 'vitest';
import { decodeChangeBatch, encodeHandover, encodeWatermark } from './change-format.ts';
import { lsn } from './lsn.ts';
import { TransactionAssembler } from './transaction-assembler.ts';
import { PART_LIMITS, PartBuilder } from './transaction-encoder.ts';

const A = { systemId: '18446744073709551615', timeline: 3, database: 'dätä' };
const B = { systemId: '7', timeline: 1, database: 'b' };
const HANDOVER = { kind: 'handover' as const, source: B, lsn: lsn(2 ** 40), from: A };

function transaction(source: typeof A, attempt: number, at: number): readonly Uint8Array[] {
  const header = { source, snapshot: false, attempt, xid: 1, commitLsn: lsn(at), commitTime: 0 };
  return new PartBuilder(header, PART_LIMITS).finish(lsn(at + 8)).records;
}

/** The first part of one that has no end. */
function unfinished(source: typeof A, attempt: number, at: number): readonly Uint8Array[] {
  const header = { source, snapshot: false, attempt, xid: 1, commitLsn: lsn(at), commitTime: 0 };
  const builder = new PartBuilder(header, { bytesMax: 1_000, recordsMax: 2 });
  builder.add(Uint8Array.of(0x59, 0, 0, 0, 1, 0, 0));
  const [part] = builder.add(Uint8Array.of(0x59, 0, 0, 0, 1, 0, 0)) ?? [];
  if (part === undefined) throw new Error('two messages are two parts');
  return part.records;
}

test('a handover is read as it was written, and nothing else is taken for one', () => {
  const record = encodeHandover(HANDOVER);
  expect(decodeChangeBatch([record])).toEqual({ header: HANDOVER });
  expect(() => decodeChangeBatch([record, record])).toThrow(/further records/);
  for (let length = 0; length < record.length; length++) {
    expect(() => decodeChangeBatch([record.subarray(0, length)])).toThrow(
      /malformed|ends|INVALID|record/i,
    );
  }
  expect(() => decodeChangeBatch([encodeHandover({ ...HANDOVER, from: B })])).toThrow(/to itself/);
});

test('drops whatever the source before still says, also when it reads on later', () => {
  const assembler = new TransactionAssembler();
  expect(assembler.push(transaction(A, 9, 800)).kind).toBe('part');
  expect(assembler.push([encodeHandover(HANDOVER)]).kind).toBe('handover');
  const late = [
    transaction(A, 9, 900),
    unfinished(A, 9, 1_000),
    [encodeWatermark({ kind: 'watermark', source: A, lsn: lsn(2_000) })],
  ];
  for (const records of late) expect(assembler.push(records).kind).toBe('dropped');
  const again = new TransactionAssembler(assembler.past);
  for (const records of late) expect(again.push(records).kind).toBe('dropped');
});

test('the next source counts from its own beginning, whatever was open or newer before', () => {
  const assembler = new TransactionAssembler();
  expect(assembler.push(transaction(A, 9, 800)).kind).toBe('part');
  expect(assembler.push(unfinished(A, 9, 900)).kind).toBe('part');
  expect(assembler.unfinished).toBe(true);
  assembler.push([encodeHandover(HANDOVER)]);
  expect(assembler.unfinished).toBe(false);
  expect(assembler.push(unfinished(B, 1, 16)).kind).toBe('part');
  expect(assembler.push(transaction(B, 2, 16)).kind).toBe('part');
});

test('gives one object for one description of a table, and another when it is described otherwise', () => {
  const describe = (table: string): Uint8Array =>
    Buffer.concat([Buffer.from('R\0\0\x40\0public\0', 'latin1'), Buffer.from(`${table}\0d\0\0`)]);
  const assembler = new TransactionAssembler();
  const described = (at: number, ...tables: string[]): unknown[] => {
    const header = { source: A, snapshot: false, attempt: 9, xid: 1, commitTime: 0 };
    const builder = new PartBuilder({ ...header, commitLsn: lsn(at) }, PART_LIMITS);
    for (const table of tables) builder.add(describe(table));
    const { records } = builder.finish(lsn(at + 8));
    const part = assembler.push(records);
    // What was received is used again for something else.
    for (const record of records) Buffer.from(record.buffer, record.byteOffset).fill(0, 0, 1);
    return part.kind === 'part' ? [...part.messages] : [];
  };
  const [first] = described(800, 't');
  expect(first).toMatchObject({ kind: 'relation', id: 0x4000, schema: 'public', table: 't' });
  const [again, renamed, back] = described(900, 't', 'renamed', 't');
  expect(again).toBe(first);
  expect(renamed).toMatchObject({ table: 'renamed' });
  expect(back).toEqual(first);
  expect(back).not.toBe(first);
});

test('a source that comes back is heard again, and the one between is not', () => {
  const assembler = new TransactionAssembler();
  assembler.push([encodeHandover(HANDOVER)]);
  assembler.push([encodeHandover({ ...HANDOVER, source: A, from: B })]);
  expect(assembler.push(transaction(B, 5, 16)).kind).toBe('dropped');
  expect(assembler.push(transaction(A, 6, 16)).kind).toBe('part');
  expect(assembler.past).toEqual([B]);
});
