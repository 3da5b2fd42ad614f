import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBatchHeader, decodeRecords, encodeBatch, verifyBatch } from './batch.ts';
import type { BatchInput } from './batch.ts';
import { splitFrames } from './frames.ts';
import { readU32, writeU16, writeU32 } from './ints.ts';
import { reasonOf, sealed } from './testing.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const body = (value: string) => ({ body: text(value) });

const name = fc.string({
  unit: fc.constantFrom('a', 'B', '/', '-', '7', 'é', '界', '🜁'),
  minLength: 1,
  maxLength: 16,
});
const bytes = fc.uint8Array({ maxLength: 40 });
const u64 = fc.oneof(
  fc.nat(1000),
  fc.constant(Number.MAX_SAFE_INTEGER),
  fc.integer({ min: 0, max: 2 ** 52 }),
);
const record = fc
  .record({
    body: bytes,
    key: fc.option(bytes),
    headers: fc.option(fc.array(fc.tuple(name, bytes), { maxLength: 3 })),
  })
  .map(({ body: content, key, headers }) => ({
    body: content,
    ...(key === null ? {} : { key }),
    ...(headers === null ? {} : { headers }),
  }));
const writer = fc
  .record({ id: name, epoch: fc.integer({ min: 0, max: 0xffff_ffff }), seq: u64, step: fc.nat() })
  .map(({ id, epoch, seq, step }) => ({
    id,
    epoch,
    seq: Math.max(1, seq),
    previous: Math.max(0, seq - 1 - step),
  }));
const batch: fc.Arbitrary<BatchInput> = fc.record({
  stream: name,
  records: fc.array(record, { minLength: 1, maxLength: 5 }),
  writer: fc.option(writer, { nil: undefined }),
  matchSeqNum: fc.option(u64, { nil: undefined }),
  fencingToken: fc.option(u64, { nil: undefined }),
});

describe('a batch', () => {
  it('reads back as what was encoded', () => {
    fc.assert(
      fc.property(batch, (input) => {
        const frame = encodeBatch(input);
        const header = verifyBatch(frame);
        expect(header).toEqual(decodeBatchHeader(frame));
        expect(header.stream).toBe(input.stream);
        expect(header.recordCount).toBe(input.records.length);
        expect(header.writer).toEqual(input.writer ?? null);
        expect(header.matchSeqNum).toBe(input.matchSeqNum ?? null);
        expect(header.fencingToken).toBe(input.fencingToken ?? null);
        expect(header.bytes).toBe(frame.length);
        const records = decodeRecords(frame);
        expect(
          records.map((view) => ({
            body: [...view.body],
            key: view.key === null ? null : [...view.key],
            headers: view.headers.map(([header_, value]) => [header_, [...value]]),
          })),
        ).toEqual(
          input.records.map((given) => ({
            body: [...given.body],
            key: given.key === undefined ? null : [...given.key],
            headers: (given.headers ?? []).map(([header_, value]) => [header_, [...value]]),
          })),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('is read in the middle of other bytes as it is read alone', () => {
    fc.assert(
      fc.property(batch, bytes, bytes, (input, before, after) => {
        const frame = encodeBatch(input);
        const joined = Buffer.concat([before, frame, after]);
        expect(decodeBatchHeader(joined, before.length)).toEqual(decodeBatchHeader(frame));
      }),
    );
  });

  it('gives its records as views, not as copies', () => {
    const frame = encodeBatch({ stream: 's', records: [{ ...body('hello'), key: text('k') }] });
    const [view] = decodeRecords(frame);
    frame.fill(0x78, frame.length - 5);
    expect(Buffer.from(view?.body ?? []).toString()).toBe('xxxxx');
  });

  it('has the layout of SPEC.md', () => {
    const frame = encodeBatch({
      stream: 'ab',
      records: [body('x')],
      writer: { id: 'w', epoch: 2, seq: 0x1_0000_0003, previous: 1 },
      matchSeqNum: 5,
      fencingToken: 6,
    });
    expect(Buffer.from(frame).toString('hex')).toBe(
      [
        '45000000',
        Buffer.from(frame.subarray(4, 8)).toString('hex'),
        ...['01', '07', '0200', '01000000', '3c000000', '6162'],
        ...['01', '77', '02000000', '0300000001000000', '0100000000000000'],
        ...['0500000000000000', '0600000000000000'],
        ...['05000000', '0000', '00', '00', '78'],
      ].join(''),
    );
  });

  it('skips what a later version puts between its header and its records', () => {
    const frame = encodeBatch({ stream: 's', records: [body('x'), body('y')] });
    const { recordsOffset } = decodeBatchHeader(frame);
    const grown = Buffer.concat([
      frame.subarray(0, recordsOffset),
      text('new'),
      frame.subarray(recordsOffset),
    ]);
    writeU32(grown, 0, grown.length);
    writeU32(grown, 16, recordsOffset + 3);
    expect(verifyBatch(sealed(grown)).recordCount).toBe(2);
    expect(decodeRecords(grown).map((view) => view.body.length)).toEqual([1, 1]);
  });
});

describe('encoding a batch', () => {
  const cases: [string, BatchInput, string][] = [
    ['no record', { stream: 's', records: [] }, 'INVALID'],
    ['no stream name', { stream: '', records: [body('x')] }, 'INVALID'],
    ['a stream name of 256 bytes', { stream: 'é'.repeat(128), records: [body('x')] }, 'INVALID'],
    [
      'a stream name with an unpaired surrogate',
      { stream: '\ud800', records: [body('x')] },
      'INVALID',
    ],
    [
      'a writer id of 65 bytes',
      {
        stream: 's',
        records: [body('x')],
        writer: { id: 'w'.repeat(65), epoch: 1, seq: 1, previous: 0 },
      },
      'INVALID',
    ],
    [
      'a writer seq that is not above previous',
      { stream: 's', records: [body('x')], writer: { id: 'w', epoch: 1, seq: 4, previous: 4 } },
      'INVALID',
    ],
    [
      'a writer epoch beyond 32 bits',
      {
        stream: 's',
        records: [body('x')],
        writer: { id: 'w', epoch: 2 ** 32, seq: 1, previous: 0 },
      },
      'INVALID',
    ],
    ['a negative matchSeqNum', { stream: 's', records: [body('x')], matchSeqNum: -1 }, 'INVALID'],
    [
      'a fractional fencingToken',
      { stream: 's', records: [body('x')], fencingToken: 0.5 },
      'INVALID',
    ],
    [
      'a header name beyond 65535 bytes',
      { stream: 's', records: [{ ...body('x'), headers: [['n'.repeat(65_536), text('')]] }] },
      'INVALID',
    ],
    [
      'more than 1 MiB',
      { stream: 's', records: [{ body: new Uint8Array(1024 * 1024) }] },
      'TOO_LARGE',
    ],
    [
      'more than 10,000 records',
      { stream: 's', records: new Array<{ body: Uint8Array }>(10_001).fill(body('')) },
      'TOO_LARGE',
    ],
  ];
  it.each(cases)('refuses %s', (_what, input, reason) => {
    expect(reasonOf(() => encodeBatch(input))).toBe(reason);
  });

  it('takes exactly the limit, and another one when told', () => {
    const frame = encodeBatch({
      stream: 's',
      records: [{ body: new Uint8Array(1024 * 1024 - 29) }],
    });
    expect(frame.length).toBe(1024 * 1024);
    expect(verifyBatch(frame).recordCount).toBe(1);
    const limits = { batchBytesMax: 100, recordsMax: 1 };
    expect(reasonOf(() => verifyBatch(frame, limits))).toBe('TOO_LARGE');
    expect(
      reasonOf(() => encodeBatch({ stream: 's', records: [body('x'), body('y')] }, limits)),
    ).toBe('TOO_LARGE');
  });
});

describe('a batch from outside', () => {
  const frame = encodeBatch({
    stream: 'orders/é',
    records: [
      {
        ...body('first'),
        key: text('k'),
        headers: [
          ['type', text('insert')],
          ['n', text('')],
        ],
      },
      body(''),
      { ...body('third'), headers: [['type', text('x')]] },
    ],
    writer: { id: 'sidecar-1', epoch: 3, seq: 77, previous: 70 },
    matchSeqNum: 12,
    fencingToken: 9,
  });

  it('is refused with any byte changed in any way', () => {
    for (let i = 0; i < frame.length; i += 1) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const bad = Uint8Array.from(frame);
        bad[i] = (bad[i] ?? 0) ^ flip;
        expect(
          reasonOf(() => verifyBatch(bad)),
          `byte ${i} ^ ${flip}`,
        ).toBe('INVALID');
      }
    }
  });

  it('is refused cut off anywhere, and with a byte too many', () => {
    for (let end = 0; end < frame.length; end += 1) {
      expect(
        reasonOf(() => verifyBatch(frame.subarray(0, end))),
        `cut at ${end}`,
      ).toBe('INVALID');
    }
    expect(reasonOf(() => verifyBatch(Buffer.concat([frame, text('x')])))).toBe('INVALID');
  });

  it('is refused or read in full, never half, when a liar computed the checksum', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const bad = Uint8Array.from(frame);
          for (const [offset, value] of changes) bad[offset] = value;
          writeU32(bad, 0, bad.length);
          sealed(bad);
          if (reasonOf(() => verifyBatch(bad)) === null) {
            expect(decodeRecords(bad).length).toBe(verifyBatch(bad).recordCount);
          } else {
            reasonOf(() => decodeRecords(bad));
            reasonOf(() => decodeBatchHeader(bad));
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('is never more than a MeridianError, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(130), (garbage, offset) => {
        if (garbage.length >= 12) garbage[8] = 1;
        reasonOf(() => verifyBatch(garbage));
        reasonOf(() => decodeBatchHeader(garbage, offset));
        reasonOf(() => decodeRecords(garbage));
        reasonOf(() => splitFrames(garbage));
      }),
      { numRuns: 3000 },
    );
  });

  it('may not claim more records than there is room for', () => {
    const bad = Uint8Array.from(frame);
    writeU32(bad, 12, 0xffff_ffff);
    expect(reasonOf(() => decodeBatchHeader(sealed(bad)))).toBe('INVALID');
  });

  it('may not have flags or a version that are not known here', () => {
    for (const [offset, value] of [
      [8, 2],
      [9, 0x0f],
    ] as const) {
      const bad = Uint8Array.from(frame);
      bad[offset] = value;
      expect(reasonOf(() => decodeBatchHeader(bad))).toBe('INVALID');
    }
  });

  it('may not have a name that is not UTF-8', () => {
    const bad = Uint8Array.from(frame);
    bad[20] = 0xff;
    expect(reasonOf(() => verifyBatch(sealed(bad)))).toBe('INVALID');
    writeU16(bad, 10, 0);
    expect(reasonOf(() => verifyBatch(sealed(bad)))).toBe('INVALID');
  });
});

describe('frames in a row', () => {
  it('come apart as they were put together', () => {
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 6 }), (inputs) => {
        const frames = inputs.map((input) => encodeBatch(input));
        expect(splitFrames(Buffer.concat(frames)).map((view) => Buffer.from(view))).toEqual(frames);
      }),
    );
  });

  it('are refused when a length leads nowhere', () => {
    const frame = encodeBatch({ stream: 's', records: [body('x')] });
    expect(reasonOf(() => splitFrames(frame.subarray(0, frame.length - 1)))).toBe('INVALID');
    expect(reasonOf(() => splitFrames(Buffer.concat([frame, text('abc')])))).toBe('INVALID');
    expect(reasonOf(() => splitFrames(new Uint8Array(64)))).toBe('INVALID');
    expect(readU32(frame, 0)).toBe(frame.length);
  });
});
