/** The log on real files: what callers see while nothing fails. Faults are in faults.test.ts. */
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { nodeFiles } from './files.ts';
import { segmentName } from './format.ts';
import { BODY_BYTES_MAX, formatDirectory, openLog } from './log.ts';
import type { Files, Log, LogFrame } from './log.ts';
import { append, IDENTITY, synced } from './scripted-log.ts';

let parent = '';
let directory = '';
const logs: Log[] = [];

beforeEach(() => {
  parent = fs.mkdtempSync(join(os.tmpdir(), 'meridian-log-'));
  directory = join(parent, 'data');
  formatDirectory(directory, IDENTITY);
});

afterEach(async () => {
  for (const log of logs.splice(0)) await log.close();
  fs.rmSync(parent, { recursive: true });
});

function open(settings: { segmentBytes?: number; stagedBytesMax?: number; files?: Files } = {}): {
  log: Log;
  frames: LogFrame[];
} {
  const frames: LogFrame[] = [];
  const onFatal = (error: Error): void => {
    throw error;
  };
  const log = openLog({ directory, identity: IDENTITY, onFatal, ...settings }, (frame) =>
    frames.push(frame),
  );
  logs.push(log);
  return { log, frames };
}

describe('a log', () => {
  it('gives back every frame in order, by replay and by location, over many lives', async () => {
    const bodies: string[] = [];
    for (let life = 0; life < 12; life++) {
      const { log, frames } = open({ segmentBytes: 4096 });
      expect(frames.map(({ body }) => Buffer.from(body).toString())).toEqual(bodies);
      for (const { body, location } of frames) {
        expect(Buffer.from(log.read(location))).toEqual(Buffer.from(body));
      }
      for (let count = 0; count < 9; count++) {
        const body = `life ${life}, ${count} ${'.'.repeat(37 * count)}`;
        log.append(1 + life, [Buffer.from(body.slice(0, 4)), Buffer.from(body.slice(4))]);
        bodies.push(body);
      }
      if (life % 3 === 0) await synced(log);
      await log.close();
    }
    const { frames, log } = open({ segmentBytes: 4096 });
    expect(frames.map(({ type }) => type)).toEqual(
      bodies.map((_, index) => 1 + Math.floor(index / 9)),
    );
    expect(log.stats.segments).toBeGreaterThan(3);
  });

  it('reads a frame before, while and after it is flushed', async () => {
    const { log } = open();
    const text = (location: LogFrame['location']): string =>
      Buffer.from(log.read(location)).toString();
    const one = log.append(1, [Buffer.from('one')]);
    expect(text(one)).toBe('one');
    const flushed = synced(log);
    await Promise.resolve();
    const two = log.append(1, [Buffer.from('two')]);
    expect([text(one), text(two)]).toEqual(['one', 'two']);
    await flushed;
    expect([text(one), text(two)]).toEqual(['one', 'two']);
    await synced(log);
    expect([text(one), text(two)]).toEqual(['one', 'two']);
    expect(log.stats.stagedBytes).toBe(0);
  });

  it('copies bodies: the caller may reuse his buffer at once', async () => {
    const { log } = open();
    const buffer = Buffer.from('first');
    const location = log.append(1, [buffer]);
    buffer.write('other');
    await synced(log);
    expect(Buffer.from(log.read(location)).toString()).toBe('first');
  });

  it('gathers what arrives during a flush into the next one', async () => {
    let writes = 0;
    const files: Files = {
      ...nodeFiles,
      writeDurably: (...args) => {
        writes++;
        nodeFiles.writeDurably(...args);
      },
    };
    const { log } = open({ files });
    const confirmed: number[] = [];
    const add = (number: number): void => {
      append(log, `${number}`);
      log.sync(() => confirmed.push(number));
    };
    for (let number = 0; number < 100; number++) add(number);
    expect(confirmed).toEqual([]);
    // One turn later the first hundred are in flight; the next hundred share the second flush.
    await Promise.resolve();
    process.nextTick(() => {
      for (let number = 100; number < 200; number++) add(number);
    });
    while (confirmed.length < 200) await synced(log);
    expect(confirmed).toEqual(Array.from({ length: 200 }, (_, number) => number));
    expect(writes).toBe(2);
    expect(log.stats).toMatchObject({ flushes: 2, frames: 200 });
    expect(log.stats.maxSyncMicros).toBeGreaterThanOrEqual(log.stats.lastSyncMicros);
  });

  it('confirms later, never inside the call, also when all is on disk', async () => {
    const { log } = open();
    let confirmed = 0;
    log.sync(() => confirmed++);
    expect(confirmed).toBe(0);
    await synced(log);
    expect(confirmed).toBe(1);
    expect(log.stats.flushes).toBe(0);
  });

  it('rolls over without waiting, and gives a frame larger than a segment one of its own', async () => {
    const { log } = open({ segmentBytes: 4096 });
    const large = Buffer.alloc(3_000_000, 'large');
    const before = log.append(1, [Buffer.from('before')]);
    const location = log.append(2, [large]);
    const after = log.append(3, [Buffer.from('after')]);
    await synced(log);
    expect([before.segment, location.segment, after.segment]).toEqual([1, 2, 3]);
    await log.close();
    const again = open({ segmentBytes: 4096 });
    expect(again.frames.map(({ type }) => type)).toEqual([1, 2, 3]);
    expect(Buffer.compare(again.log.read(location), large)).toBe(0);
  });

  it('keeps few files open, however many segments are read', async () => {
    const { log } = open({ segmentBytes: 4096 });
    const locations = Array.from({ length: 80 }, (_, number) =>
      log.append(1, [Buffer.alloc(4000, number)]),
    );
    await synced(log);
    const openFiles = (): number =>
      fs.readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
        } catch {
          return false;
        }
      }).length;
    for (const [number, location] of locations.entries()) {
      expect(log.read(location)[0]).toBe(number);
    }
    expect(openFiles()).toBeLessThan(70);
    expect(log.read(locations[0] ?? { segment: 0, offset: 0, bytes: 0 })[0]).toBe(0);
    await log.close();
    expect(openFiles()).toBe(0);
  });

  it('keeps its files from other users', async () => {
    const { log } = open({ segmentBytes: 4096 });
    log.append(1, [Buffer.alloc(5000)]);
    await synced(log);
    const mode = (path: string): number => fs.statSync(path).mode & 0o777;
    expect(mode(directory)).toBe(0o700);
    const names = fs.readdirSync(directory);
    expect(names).toContain(segmentName(2));
    for (const name of names) expect([name, mode(join(directory, name))]).toEqual([name, 0o600]);
  });

  it('refuses what is too large or too much, without effect', async () => {
    const { log } = open({ stagedBytesMax: 10_000 });
    const large = Buffer.alloc(BODY_BYTES_MAX + 1);
    expect(() => log.append(1, [large])).toThrow(expect.objectContaining({ reason: 'TOO_LARGE' }));
    const most = Buffer.alloc(9_900);
    const location = log.append(1, [most]);
    expect(() => log.append(1, [most])).toThrow(expect.objectContaining({ reason: 'OVERLOADED' }));
    await synced(log);
    log.append(1, [most]);
    expect(log.stats.frames).toBe(2);
    expect(log.read(location).length).toBe(most.length);
    expect(() => log.append(0, [])).toThrow('0 is not a frame type');
    expect(() => log.append(256, [])).toThrow('256 is not a frame type');
  });

  it('takes nothing after close, and close flushes what was staged', async () => {
    const { log } = open();
    append(log, 'staged');
    const closing = log.close();
    expect(() => {
      append(log, 'late');
    }).toThrow(expect.objectContaining({ reason: 'UNAVAILABLE' }));
    expect(log.close()).toBe(closing);
    await closing;
    expect(open().frames.length).toBe(1);
  });

  it('refuses a segment size out of bounds', () => {
    for (const segmentBytes of [0, 4095, 2 ** 30]) {
      expect(() => open({ segmentBytes })).toThrow(MeridianError);
    }
  });
});
