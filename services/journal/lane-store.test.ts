import { describe, expect, it } from 'vitest';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { encodeEntry } from '../../libs/frames/entry.ts';
import type { Location } from '../../libs/storage/log.ts';
import { epoch, index, timestamp } from '../../libs/values/numbers.ts';
import type { LaneId } from '../../libs/values/numbers.ts';
import type { JournalEntry } from './content.ts';
import { LaneStore } from './lane-store.ts';

/** A log in memory that counts reads. */
class MemoryLog {
  readonly bodies: Uint8Array[] = [];
  reads = 0;

  write(body: Uint8Array): Location {
    this.bodies.push(Buffer.from(body));
    return { segment: 1, offset: this.bodies.length - 1, bytes: body.length };
  }

  read(location: Location): Uint8Array {
    this.reads += 1;
    return this.bodies[location.offset] ?? new Uint8Array();
  }
}

function entryOf(lane: LaneId, slot: number, bodyBytes = 100): JournalEntry {
  const header = {
    lane,
    epoch: epoch(8 + lane),
    index: index(slot),
    timestamp: timestamp(slot * 8 + lane),
    kind: 'batches' as const,
  };
  const batch = encodeBatch({ stream: 's', records: [{ body: Buffer.alloc(bodyBytes, slot) }] });
  const content = encodeEntry(header, [batch]);
  return { ...header, bytes: content.length, content };
}

function setUp(cacheBytesMax: number): {
  store: LaneStore;
  log: MemoryLog;
  write: (entry: JournalEntry) => Uint8Array;
} {
  const store = new LaneStore(cacheBytesMax);
  const log = new MemoryLog();
  store.readFrom(log);
  const write = (entry: JournalEntry): Uint8Array => {
    const content = entry.content ?? new Uint8Array();
    store.add(entry, log.write(content));
    return Buffer.from(content);
  };
  return { store, log, write };
}

describe('LaneStore', () => {
  it('serves the newest entries from memory and evicted ones from the log, byte for byte', () => {
    const { store, log, write } = setUp(1000);
    const entries = Array.from({ length: 20 }, (_unused, i) => entryOf(1, i + 1));
    const contents = entries.map(write);
    expect(store.cachedBytes).toBeLessThanOrEqual(1000);
    expect(entries[0]?.content).toBeNull();
    expect(entries[19]?.content).not.toBeNull();
    expect(store.content(1, index(20))).toEqual(contents[19]);
    expect(log.reads).toBe(0);
    entries.forEach((entry, i) => {
      expect(Buffer.from(store.contentOf(entry))).toEqual(contents[i]);
    });
    expect(log.reads).toBeGreaterThan(10);
  });

  it('forgets truncated entries and serves what replaced them', () => {
    const { store, write } = setUp(100_000);
    write(entryOf(0, 1));
    write(entryOf(0, 2));
    write(entryOf(0, 3));
    store.truncate(0, index(2));
    const replaced = write(entryOf(0, 2, 7));
    expect(Buffer.from(store.content(0, index(2)))).toEqual(replaced);
    expect(() => store.content(0, index(3))).toThrow('no position');
  });

  it('evicts a replaced entry without losing the one that took its place', () => {
    const { store, log, write } = setUp(700);
    write(entryOf(0, 1));
    write(entryOf(0, 2));
    store.truncate(0, index(2));
    const kept = write(entryOf(0, 2, 50));
    write(entryOf(1, 1));
    write(entryOf(1, 2));
    expect(Buffer.from(store.content(0, index(2)))).toEqual(kept);
    expect(log.reads).toBeLessThanOrEqual(1);
  });

  it('notices an entry that was read from the wrong place', () => {
    const { store, log, write } = setUp(0);
    write(entryOf(0, 1));
    write(entryOf(0, 2));
    log.bodies.reverse();
    expect(() => store.content(0, index(1))).toThrow('expected 0/1');
  });

  it('refuses an entry that leaves a hole', () => {
    const { write } = setUp(1000);
    write(entryOf(2, 1));
    expect(() => write(entryOf(2, 3))).toThrow('contiguous');
  });
});
