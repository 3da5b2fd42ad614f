import { describe, expect, it } from 'vitest';
import { encodeBatch } from '../frames/batch.ts';
import { encodeEntry } from '../frames/entry.ts';
import { epoch, index, timestamp } from '../values/numbers.ts';
import { SegmentBuilder, decodeSegment } from './segment.ts';
import type { BuiltSegment } from './segment.ts';

const PREVIOUS = 'ab'.repeat(32);

function entry(time: number, ...streams: string[]): Uint8Array {
  const identity = {
    lane: 0,
    epoch: epoch(1),
    index: index(time),
    kind: 'batches',
  } as const;
  return encodeEntry(
    { ...identity, timestamp: timestamp(time) },
    streams.map((stream) => encodeBatch({ stream, records: [{ body: Buffer.from(stream) }] })),
  );
}

function sample(): BuiltSegment {
  const builder = new SegmentBuilder(7, PREVIOUS);
  builder.add(entry(8, 'b', 'a'), 8, {
    streams: [
      { stream: 'b', first: 4, next: 5 },
      { stream: 'a', first: 0, next: 1 },
    ],
    recordless: [],
  });
  builder.add(entry(16, 'a', 'a'), 16, {
    streams: [{ stream: 'a', first: 1, next: 2 }],
    recordless: [1],
  });
  return builder.finish();
}

describe('a segment', () => {
  it('gives back its entries, what the order made of them, and the hash of the one before', () => {
    const built = sample();
    expect(built).toMatchObject({ first: 7, end: 9, firstTimestamp: 8, lastTimestamp: 16 });
    expect(built.streams).toEqual([
      { stream: 'a', first: 0, next: 2 },
      { stream: 'b', first: 4, next: 5 },
    ]);
    const segment = decodeSegment(built.bytes, 'x');
    expect(segment).toMatchObject({ first: 7, end: 9, previous: PREVIOUS, recordless: [[1, 1]] });
    expect(segment.streams).toEqual([
      { name: 'a', entries: [0, 1], firstSeqNums: [0, 1] },
      { name: 'b', entries: [0], firstSeqNums: [4] },
    ]);
    expect(segment.entries.map(({ header }) => header.timestamp)).toEqual([8, 16]);
    expect(Buffer.from(segment.entries[1]?.frame ?? []).equals(entry(16, 'a', 'a'))).toBe(true);
  });

  it('has the same bytes for the same content, and another hash after another segment', () => {
    expect(Buffer.from(sample().bytes).equals(sample().bytes)).toBe(true);
    const other = new SegmentBuilder(7, 'cd'.repeat(32));
    other.add(entry(8, 'a'), 8, { streams: [], recordless: [] });
    const same = new SegmentBuilder(7, PREVIOUS);
    same.add(entry(8, 'a'), 8, { streams: [], recordless: [] });
    expect(other.finish().sha256).not.toBe(same.finish().sha256);
  });

  it('is refused cut at any byte', () => {
    const { bytes } = sample();
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeSegment(bytes.subarray(0, length), 'x'), `${length}`).toThrow(
        /x is no segment/,
      );
    }
  });

  it('is refused when its sizes, its magic or its header are others', () => {
    const { bytes } = sample();
    for (const at of [0, 9, 17, 33, bytes.length - 60, bytes.length - 50, bytes.length - 64]) {
      const broken = Uint8Array.from(bytes);
      broken[at] = (broken[at] ?? 0) ^ 0x40;
      expect(() => decodeSegment(broken, 'x'), `${at}`).toThrow();
    }
  });
});
