import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBinary } from '@bufbuild/protobuf';
import { ReadResponseSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { MemoryJournal } from './memory-journal.ts';
import { SharedChunks, serializeRead } from './shared-chunks.ts';
import { drain, open, place, records } from './testing-reads.ts';

describe('followers of the whole journal', () => {
  it('at the same place are sent the same message, made once', () => {
    const journal = new MemoryJournal();
    journal.add(8, [{ records: records(1) }]);
    const chunks = new SharedChunks(journal.index, journal.store);
    const [one, two, three] = [1, 2, 3].map(() => open(journal, { follow: true }, 200, chunks));
    for (const each of [one, two, three]) if (each !== undefined) drain(each);
    journal.add(16, [{ records: records(2) }]);
    for (const each of [one, two, three]) each?.pump();
    const sent = [one, two, three].map((each) => each?.stream.written[0]);
    expect(sent[0]?.message.case).toBe('batches');
    expect(sent[1]).toBe(sent[0]);
    expect(sent[2]).toBe(sent[0]);
    expect(chunks.reused).toBeGreaterThanOrEqual(2);
    const [message] = sent;
    if (message === undefined) throw new Error('nothing was sent');
    expect(serializeRead(message)).toBe(serializeRead(message));
    expect(new Uint8Array(serializeRead(message))).toEqual(toBinary(ReadResponseSchema, message));
  });

  it('each see the whole order once, however differently they go along', () => {
    const entry = fc.array(
      fc.record({ records: fc.integer({ min: 1, max: 4 }).map(records), fails: fc.boolean() }),
      { minLength: 1, maxLength: 5 },
    );
    /** An entry is added, or one of the readers is pumped, and takes what was written or not. */
    const step = fc.oneof(
      { weight: 2, arbitrary: entry },
      fc.record({ reader: fc.nat(2), takes: fc.boolean() }),
    );
    const run = fc.property(
      fc.array(step, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 600 }),
      fc.nat(60),
      (steps, chunkBytes, from) => {
        const journal = new MemoryJournal(600);
        journal.add(1, [{ records: records(1) }]);
        const chunks = new SharedChunks(journal.index, journal.store);
        const starts = [0, 0, from].map((value) => BigInt(value));
        const readers = starts.map((value) =>
          open(journal, { from: { case: 'timestamp', value }, follow: true }, chunkBytes, chunks),
        );
        const seen: string[][] = [[], [], []];
        const take = (reader: number): void => {
          const read = readers[reader];
          if (read === undefined) return;
          seen[reader]?.push(...drain(read).deliveries.map(place));
        };
        let time = 8;
        for (const each of steps) {
          if (Array.isArray(each)) {
            journal.add(
              time,
              each.map(({ fails, ...batch }) => (fails ? { ...batch, matchSeqNum: 1e6 } : batch)),
            );
            time += 8;
          } else if (each.takes) take(each.reader);
          else readers[each.reader]?.pump();
        }
        for (const reader of [0, 1, 2]) take(reader);
        const scanned = (value: bigint): string[] =>
          drain(open(journal, { from: { case: 'timestamp', value } })).deliveries.map(place);
        starts.forEach((start, reader) => {
          expect(seen[reader]).toEqual(scanned(start));
        });
      },
    );
    fc.assert(run, { numRuns: 200 });
  });

  it('read an entry that is far too large for a message in parts', () => {
    const journal = new MemoryJournal();
    journal.add(
      8,
      Array.from({ length: 9 }, () => ({ records: records(4) })),
    );
    const read = open(journal, { follow: true }, 150);
    expect(drain(read).deliveries.length).toBe(9);
  });
});
