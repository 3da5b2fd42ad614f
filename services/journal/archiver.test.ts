/**
 * An archiver was told once that a manifest it asked for was there and empty (the store had cut the connection
 * after the head of its answer, and a cut answer of length 0 looks whole). It took that for a damaged archive
 * and stopped for good: on a quiet machine with a healthy store the backlog stayed, and with it the log, until
 * the process was started again. One answer is no proof; and a halt must end when the reason has gone.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../libs/archive/memory-store.ts';
import type { Archiver } from './archiver.ts';
import { MemoryJournal } from './memory-journal.ts';
import { archiverOf } from './testing-archiver.ts';
import { records } from './testing-reads.ts';

const ENTRIES = 40;

let store: MemoryStore;
let journal: MemoryJournal;
let told: string[];

beforeEach(() => {
  store = new MemoryStore();
  journal = new MemoryJournal();
  told = [];
  for (let i = 0; i < ENTRIES; i += 1) {
    journal.add(80 + i * 96, [{ stream: 'a', records: records(2) }]);
  }
  journal.release([], journal.watermark.value + 10_000);
});

function archiver(by = '0 a'): Archiver {
  const tell = (_: unknown, message: string): number => told.push(message);
  const logger = { info: tell, warn: tell, error: tell } as never;
  return archiverOf(journal, store, { by, logger });
}

/** The next read of a manifest gets this answer, so many times. */
function lie(answer: Uint8Array, times: number): void {
  let left = times;
  store.corrupt = (key, bytes) => {
    if (!key.startsWith('manifests/') || left === 0) return bytes;
    left -= 1;
    return answer;
  };
}

async function drain(of: Archiver): Promise<void> {
  for (let looks = 0; of.archivedTo < journal.index.count && looks < 100; looks += 1) {
    await of.attempt();
  }
}

describe('an archiver in doubt', () => {
  it.each([
    ['nothing', new Uint8Array()],
    ['half a manifest', Buffer.from('{"version":1,"num')],
  ])('goes on when the store answers once with %s', async (_, answer) => {
    const one = archiver();
    await one.attempt();
    lie(answer, 1);
    await drain(one);
    expect(one.archivedTo).toBe(ENTRIES);
    expect(one.halted).toBe(false);
    expect(told.join()).not.toContain('ARCHIVING HAS STOPPED');
  });

  it('archives nothing while it is in doubt, and asks again soon', async () => {
    const one = archiver();
    await one.attempt();
    const { archivedTo } = one;
    lie(new Uint8Array(), 2);
    expect(await one.attempt()).toBeLessThanOrEqual(1000);
    expect(await one.attempt()).toBeLessThanOrEqual(1000);
    expect(one.archivedTo).toBe(archivedTo);
  });

  it('halts when it sees the same again and again, says so once, and goes on when it is put right', async () => {
    const one = archiver();
    await one.attempt();
    store.corrupt = (key, bytes) => (key.startsWith('segments/') ? Buffer.from('other') : bytes);
    for (let look = 0; look < 6; look += 1) await one.attempt();
    expect(one.halted).toBe(true);
    expect(told.filter((line) => line.includes('ARCHIVING HAS STOPPED'))).toHaveLength(1);
    // It looks, but seldom.
    expect(await one.attempt()).toBeGreaterThanOrEqual(30_000);
    store.corrupt = (_, bytes) => bytes;
    await drain(one);
    expect(one.halted).toBe(false);
    expect(one.archivedTo).toBe(ENTRIES);
    expect(told.at(-1)).toBe('the archive is written again');
  });

  it('counts as its own only the segments that it named itself', async () => {
    const [one, other] = [archiver('0 a'), archiver('1 b')];
    await Promise.all([one, other].map(drain));
    const named = new Set([...store.objects.keys()].filter((key) => key.startsWith('segments/')));
    expect(one.figures.segments + other.figures.segments).toBe(named.size);
  });
});
