/**
 * Checkpoints: whole or not at all, whatever dies when, and old log only goes once they cover it.
 * The tests' state is the list of all bodies; a checkpoint is that list, and the segment to go on from.
 */
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import type { FaultyDisk } from './faulty-disk.ts';
import { checkpointName, segmentName } from './format.ts';
import type { Log } from './log.ts';
import { formatDirectory, inspectDirectory, openLog, setAside } from './log.ts';
import { DIRECTORY, formattedDisk, IDENTITY, open, SEGMENT_BYTES, turn } from './scripted-log.ts';

const body = (number: number): string => `${number}:${'x'.repeat(300 + (number % 7) * 100)}`;
const numberOf = (text: string): number => Number.parseInt(text, 10);

interface State {
  readonly log: Log;
  bodies: string[];
}

function openWith(disk: FaultyDisk): State {
  let bodies: string[] = [];
  const options = {
    directory: DIRECTORY,
    identity: IDENTITY,
    segmentBytes: SEGMENT_BYTES,
    files: disk,
    onFatal: () => undefined,
    onCheckpoint: (sections: Iterable<Uint8Array>): number => {
      const [head, ...rest] = [...sections].map((section) => Buffer.from(section).toString());
      bodies = rest;
      return Number(head);
    },
  };
  const log = openLog(options, (frame) => {
    const text = Buffer.from(frame.body).toString();
    if (numberOf(text) < bodies.length) return;
    expect(numberOf(text)).toBe(bodies.length);
    bodies.push(text);
  });
  return { log, bodies };
}

function* sectionsOf(from: number, bodies: readonly string[]): Generator<Uint8Array> {
  yield Buffer.from(String(from));
  for (const text of bodies) yield Buffer.from(text);
}

async function save(state: State, disk: FaultyDisk): Promise<number | null> {
  const { log, bodies } = state;
  const from = log.position.segment;
  let saved: number | null | undefined;
  log.saveCheckpoint(sectionsOf(from, [...bodies]), (error, number) => {
    saved = error === null ? number : null;
  });
  while (saved === undefined && !disk.isOff) await turn();
  return saved ?? null;
}

async function append(state: State, count: number, disk: FaultyDisk): Promise<number> {
  const { log, bodies } = state;
  for (let i = 0; i < count; i += 1) {
    const text = body(bodies.length);
    log.append(1, [Buffer.from(text)]);
    bodies.push(text);
  }
  let confirmed = 0;
  log.sync(() => {
    confirmed = bodies.length;
  });
  while (confirmed === 0 && !disk.isOff) await turn();
  return confirmed;
}

/** Appends, saves, keeps two checkpoints and deletes what both cover; returns what was confirmed. */
async function work(disk: FaultyDisk): Promise<number> {
  let confirmed = 0;
  try {
    const state = openWith(disk);
    confirmed = state.bodies.length;
    const starts = new Map<number, number>();
    for (let round = 0; round < 4 && !disk.isOff; round += 1) {
      confirmed = Math.max(confirmed, await append(state, 9, disk));
      const from = state.log.position.segment;
      const number = await save(state, disk);
      if (number === null) break;
      starts.set(number, from);
      const before = state.log.checkpoints.at(-2);
      if (before === undefined) continue;
      state.log.dropBefore(starts.get(before) ?? 1);
      for (const old of state.log.checkpoints.slice(0, -2)) state.log.dropCheckpoint(old);
    }
  } catch (error) {
    if (!disk.isOff) throw error;
  }
  return confirmed;
}

describe('a checkpoint', () => {
  it('opens the log without what it covers', async () => {
    const disk = formattedDisk();
    await work(disk);
    const again = openWith(disk.killProcess());
    expect(again.bodies).toEqual(Array.from({ length: 36 }, (_, i) => body(i)));
    expect(again.log.openedWith).toBe(4);
    expect(again.log.checkpoints).toEqual([3, 4]);
    expect(again.log.stats.firstSegment).toBeGreaterThan(3);
    expect(again.log.stats.recoveredFrames).toBeLessThan(12);
  });

  for (const [name, survival] of [
    ['nothing pending survives', () => 0],
    ['everything pending survives', (limit: number) => limit],
    ['half of it survives', (limit: number) => limit >> 1],
  ] as const) {
    it(`loses nothing confirmed whatever step is the last one (${name})`, async () => {
      const whole = formattedDisk();
      const formatted = whole.steps;
      await work(whole);
      for (let step = 1; step <= whole.steps - formatted; step += 1) {
        const disk = formattedDisk();
        disk.crashAtStep = disk.steps + step;
        const confirmed = await work(disk);
        const second = disk.crash(survival);
        const { bodies } = openWith(second);
        expect(bodies.length).toBeGreaterThanOrEqual(confirmed);
        expect(bodies).toEqual(Array.from({ length: bodies.length }, (_, i) => body(i)));
      }
    });
  }

  it('that is damaged anywhere is set aside for the one before', async () => {
    const disk = formattedDisk();
    await work(disk);
    const path = `${DIRECTORY}/${checkpointName(4)}`;
    const size = disk.size(disk.open(path, 'read'));
    for (const at of [0, 9, 20, 40, 70, 80, 500, size - 1]) {
      const changed = disk.killProcess();
      const file = changed.open(path, 'write');
      const byte = Buffer.alloc(1);
      changed.read(file, byte, at);
      changed.write(file, Buffer.from([(byte[0] ?? 0) ^ 64]), at);
      const { bodies, log } = openWith(changed);
      expect(bodies).toHaveLength(36);
      expect(log.openedWith).toBe(3);
      expect(log.findings[0]?.details['file']).toBe(path);
      expect(log.findings[0]?.reason).toBe('CORRUPT');
      changed.write(file, byte, at);
    }
    const short = disk.killProcess();
    short.truncate(short.open(path, 'write'), size - 16);
    expect(openWith(short).log.openedWith).toBe(3);
  });

  it('is the only beginning of a log whose old segments are gone', async () => {
    const disk = formattedDisk();
    await work(disk);
    disk.remove(`${DIRECTORY}/${checkpointName(3)}`);
    disk.remove(`${DIRECTORY}/${checkpointName(4)}`);
    expect(() => openWith(disk.killProcess())).toThrow(/missing/);
  });

  it('does not hide a segment that is missing behind it', async () => {
    const disk = formattedDisk();
    const state = openWith(disk);
    await append(state, 9, disk);
    await save(state, disk);
    await append(state, 30, disk);
    const missing = state.log.position.segment - 1;
    disk.remove(`${DIRECTORY}/${segmentName(missing)}`);
    expect(() => openWith(disk.killProcess())).toThrow(
      expect.objectContaining({ reason: 'CORRUPT' }),
    );
  });

  it('leaves the log as it was when the disk has no room for it', async () => {
    const disk = formattedDisk();
    const state = openWith(disk);
    await append(state, 9, disk);
    const failing = disk.callsOf('writeDurably') + 1;
    disk.fault = (operation, call) =>
      operation === 'writeDurably' && call === failing ? { code: 'ENOSPC' } : undefined;
    expect(await save(state, disk)).toBeNull();
    expect(await append(state, 3, disk)).toBe(12);
    expect(await save(state, disk)).toBe(2);
    const again = openWith(disk.killProcess());
    expect([again.bodies.length, again.log.openedWith]).toEqual([12, 2]);
  });
});

describe('a log that is set aside', () => {
  it('is kept whole, and leaves an empty directory', async () => {
    const before = formattedDisk();
    await work(before);
    const disk = before.killProcess();
    const target = setAside(DIRECTORY, disk);
    expect(inspectDirectory(DIRECTORY, disk).kind).toBe('empty');
    expect(disk.list(target)).toContain('identity');
    formatDirectory(DIRECTORY, IDENTITY, disk);
    expect(open(disk).bodies).toEqual([]);
    expect(disk.list(target)).toContain(checkpointName(4));
  });

  it('stays damaged, and is set aside again, when the power goes in between', async () => {
    const whole = formattedDisk();
    await work(whole);
    for (let step = 1; ; step += 1) {
      const disk = whole.killProcess();
      disk.crashAtStep = step;
      try {
        setAside(DIRECTORY, disk);
      } catch {
        const after = disk.crash((limit) => limit >> 1);
        let opened = false;
        try {
          opened = openWith(after).bodies.length === 36;
        } catch (error) {
          expect(error).toBeInstanceOf(MeridianError);
        }
        // Before the first file has moved the log is as good as ever.
        if (!opened) {
          setAside(DIRECTORY, after);
          expect(inspectDirectory(DIRECTORY, after).kind).toBe('empty');
        }
        continue;
      }
      break;
    }
  });
});
