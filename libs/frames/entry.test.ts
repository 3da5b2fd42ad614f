import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { epoch, index, timestamp } from '../values/numbers.ts';
import type { LaneId } from '../values/numbers.ts';
import { encodeBatch } from './batch.ts';
import { decodeEntryHeader, encodeEntry, entryBatches, verifyEntry } from './entry.ts';
import type { EntryIdentity } from './entry.ts';
import { splitFrames } from './frames.ts';
import { writeU32 } from './ints.ts';
import { reasonOf } from './testing.ts';

function batchOf(stream: string, records: number): Uint8Array {
  return encodeBatch({
    stream,
    records: Array.from({ length: records }, (_, i) => ({ body: Buffer.from(`record ${i}`) })),
  });
}

const identity = (kind: 'batches' | 'marker'): EntryIdentity => ({
  lane: 1,
  epoch: epoch(17),
  index: index(4),
  timestamp: timestamp(1_763_000_000_000_001),
  kind,
});

describe('an entry', () => {
  it('reads back as what was encoded', () => {
    const u64 = fc.oneof(fc.nat(1000), fc.constant(Number.MAX_SAFE_INTEGER));
    fc.assert(
      fc.property(
        fc.constantFrom<LaneId>(0, 1, 2),
        fc.tuple(u64, u64, u64),
        fc.array(fc.tuple(fc.constantFrom('a', 'stream/é'), fc.integer({ min: 1, max: 4 })), {
          maxLength: 5,
        }),
        (lane, [e, i, t], shapes) => {
          const batches = shapes.map(([stream, records]) => batchOf(stream, records));
          const kind = batches.length === 0 ? 'marker' : 'batches';
          const header = {
            lane,
            epoch: epoch(e),
            index: index(i),
            timestamp: timestamp(t),
            kind,
          } as const;
          const frame = encodeEntry(header, batches);
          const read = verifyEntry(frame);
          expect(read).toEqual({
            ...header,
            batchCount: batches.length,
            recordCount: shapes.reduce((sum, [, records]) => sum + records, 0),
            bytes: frame.length,
          });
          expect(entryBatches(frame).map((view) => Buffer.from(view))).toEqual(batches);
          const joined = Buffer.concat([frame, frame]);
          expect(decodeEntryHeader(joined, frame.length)).toEqual(read);
          expect(splitFrames(joined).length).toBe(2);
        },
      ),
    );
  });

  it('is refused with any byte changed in any way, and cut off anywhere', () => {
    for (const frame of [
      encodeEntry(identity('batches'), [batchOf('a', 2), batchOf('b', 1)]),
      encodeEntry(identity('marker'), []),
    ]) {
      for (let i = 0; i < frame.length; i += 1) {
        for (const flip of [0x01, 0x80, 0xff]) {
          const bad = Uint8Array.from(frame);
          bad[i] = (bad[i] ?? 0) ^ flip;
          expect(
            reasonOf(() => verifyEntry(bad)),
            `byte ${i} ^ ${flip}`,
          ).toBe('INVALID');
        }
        expect(
          reasonOf(() => verifyEntry(frame.subarray(0, i))),
          `cut at ${i}`,
        ).toBe('INVALID');
      }
      expect(reasonOf(() => verifyEntry(Buffer.concat([frame, frame])))).toBe('INVALID');
    }
  });

  it('is refused when its counts are not those of its batches although the checksum is right', () => {
    for (const [offset, value] of [
      [12, 1],
      [12, 3],
      [40, 2],
      [40, 4],
    ] as const) {
      const bad = Uint8Array.from(
        encodeEntry(identity('batches'), [batchOf('a', 2), batchOf('b', 1)]),
      );
      writeU32(bad, offset, value);
      writeU32(bad, 4, crc32(bad.subarray(8)));
      expect(
        reasonOf(() => verifyEntry(bad)),
        `${offset}: ${value}`,
      ).toBe('INVALID');
    }
  });

  it('is never more than a MeridianError, whatever the bytes', () => {
    const frame = encodeEntry(identity('batches'), [batchOf('a', 2), batchOf('b', 1)]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(frame.length),
        (changes, end) => {
          const bad = Uint8Array.from(frame.subarray(0, end));
          for (const [offset, value] of changes) if (offset < end) bad[offset] = value;
          if (end >= 8) {
            writeU32(bad, 0, end);
            writeU32(bad, 4, crc32(bad.subarray(8)));
          }
          if (reasonOf(() => verifyEntry(bad)) === null) {
            expect(entryBatches(bad).length).toBe(verifyEntry(bad).batchCount);
          }
          reasonOf(() => entryBatches(bad));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('holds no batches exactly when it is a marker', () => {
    expect(() => encodeEntry(identity('marker'), [batchOf('a', 1)])).toThrow(
      'a marker has no batches',
    );
    expect(() => encodeEntry(identity('batches'), [])).toThrow('a marker has no batches');
  });
});
