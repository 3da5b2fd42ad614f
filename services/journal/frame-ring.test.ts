import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { epoch, index, timestamp } from '../../libs/values/numbers.ts';
import type { JournalEntry } from './content.ts';
import { FrameRing } from './frame-ring.ts';

function entryOf(slot: number, bytes: number): JournalEntry {
  return {
    lane: 0,
    epoch: epoch(8),
    index: index(slot),
    timestamp: timestamp(slot * 8),
    kind: 'batches',
    bytes,
    content: Buffer.alloc(bytes, slot % 251),
  };
}

describe('FrameRing', () => {
  it('keeps the newest entries intact and gives up the oldest, whatever their sizes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 200 }),
        fc.integer({ min: 1, max: 200 }),
        (sizes, capacity) => {
          const evicted: JournalEntry[] = [];
          const ring = new FrameRing(capacity, (entry) => evicted.push(entry));
          const kept: JournalEntry[] = [];
          sizes.forEach((bytes, i) => {
            const entry = entryOf(i + 1, bytes);
            const fits = bytes * 2 <= capacity;
            expect(ring.keep(entry)).toBe(fits);
            if (fits) kept.push(entry);
            else expect(entry.content).toBeNull();
            const inside = kept.filter((one) => one.content !== null);
            // The newest survive: evicted are the oldest, in order, and nothing else.
            expect(evicted).toEqual(kept.slice(0, kept.length - inside.length));
            for (const one of inside) {
              expect(one.content).toEqual(Buffer.alloc(one.bytes, one.index % 251));
            }
            expect(ring.bytes).toBe(inside.reduce((sum, one) => sum + one.bytes, 0));
          });
        },
      ),
      { numRuns: 200 },
    );
  });
});
