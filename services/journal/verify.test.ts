import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { encodeEntry } from '../../libs/frames/entry.ts';
import { openLog } from '../../libs/storage/log.ts';
import type { Log } from '../../libs/storage/log.ts';
import { epoch, index, timestamp } from '../../libs/values/numbers.ts';
import { FRAME_TYPES, encodeWrite } from './log-frames.ts';
import { makeLog } from './recovery.ts';
import { verifyDirectory } from './verify.ts';

const identity = { cluster: 'c', instance: 'i', replica: 0, generation: 1 };
const SEGMENT = '0000000001.log';
let root: string;
let directory: string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'meridian-verify-'));
  directory = join(root, 'data');
  await makeLog({ directory, identity, self: 0, incarnation: 1, voting: true });
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function entryOf(lane: 0 | 1 | 2, number: number, more: { epoch?: number; time?: number } = {}) {
  const batch = encodeBatch({ stream: 's', records: [{ body: Buffer.from(`body ${number}`) }] });
  const header = {
    lane,
    epoch: epoch(more.epoch ?? 8),
    index: index(number),
    timestamp: timestamp(more.time ?? number * 8 + lane),
    kind: 'batches' as const,
  };
  return encodeEntry(header, [batch]);
}

async function write(work: (log: Log) => void, segmentBytes?: number): Promise<void> {
  const limits = segmentBytes === undefined ? {} : { segmentBytes };
  const log = openLog(
    { directory, identity, ...limits, onFatal: () => undefined },
    () => undefined,
  );
  work(log);
  await log.close();
}

function append(log: Log, ...entries: Uint8Array[]): void {
  for (const entry of entries) log.append(FRAME_TYPES.entry, [entry]);
}

function flip(name: string, offset: number): void {
  const bytes = readFileSync(join(directory, name));
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  writeFileSync(join(directory, name), bytes);
}

describe('the check of a data directory', () => {
  it('finds nothing in a sound one, says what it holds, and changes no byte', async () => {
    await write((log) => {
      append(log, entryOf(0, 1), entryOf(0, 2), entryOf(1, 1));
      log.append(FRAME_TYPES.promise, [encodeWrite({ type: 'promise', lane: 1, epoch: epoch(9) })]);
    });
    const before = readFileSync(join(directory, SEGMENT));
    const report = verifyDirectory(directory);
    expect(report).toMatchObject({
      sound: true,
      identity,
      inUseBy: null,
      entries: 3,
      batches: 3,
      records: 3,
      closed: true,
      unfinishedBytes: 0,
      findings: [],
    });
    expect(report.lanes[0]).toMatchObject({ firstIndex: 1, lastIndex: 2, lastEpoch: 8 });
    expect(report.lanes[1]).toMatchObject({ lastIndex: 1, promised: 9 });
    expect(readFileSync(join(directory, SEGMENT))).toEqual(before);
  });

  it('tells file and offset of every damaged place, and goes on behind it', async () => {
    const places: number[] = [];
    await write((log) => {
      for (let number = 1; number <= 5; number += 1) {
        places.push(log.append(FRAME_TYPES.entry, [entryOf(0, number)]).offset);
      }
    });
    flip(SEGMENT, (places[1] ?? 0) + 60);
    flip(SEGMENT, (places[3] ?? 0) + 60);
    const report = verifyDirectory(directory);
    expect(report.sound).toBe(false);
    expect(report.entries).toBe(3);
    const damaged = report.findings.filter(({ problem }) => problem.includes('damaged'));
    expect(damaged.map(({ file, offset }) => ({ file, offset }))).toEqual([
      { file: SEGMENT, offset: (places[1] ?? 0) - 32 },
      { file: SEGMENT, offset: (places[3] ?? 0) - 32 },
    ]);
  });

  it('takes an unfinished write at the end for what it is', async () => {
    await write((log) => {
      append(log, entryOf(0, 1), entryOf(0, 2));
    });
    const bytes = readFileSync(join(directory, SEGMENT));
    // Without the closing mark, and the entry before it cut short.
    writeFileSync(join(directory, SEGMENT), bytes.subarray(0, bytes.length - 32 - 5));
    const report = verifyDirectory(directory);
    expect(report).toMatchObject({ sound: true, entries: 1, closed: false });
    expect(report.unfinishedBytes).toBeGreaterThan(0);
  });

  it('finds a missing segment, one from elsewhere, and files of strangers', async () => {
    await write((log) => {
      for (let number = 1; number <= 120; number += 1) append(log, entryOf(0, number));
    }, 4096);
    const names = verifyDirectory(directory).segments.map(({ file }) => file);
    expect(names.length).toBeGreaterThan(2);
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    copyFileSync(join(directory, SEGMENT), join(directory, '0000000002.log'));
    const problems = verifyDirectory(directory).findings.map(
      ({ file, problem }) => `${file}: ${problem}`,
    );
    expect(problems.join('\n')).toContain('notes.txt: does not belong to a log');
    expect(problems.join('\n')).toContain('0000000002.log: it is segment 1');
    rmSync(join(directory, '0000000002.log'));
    const missing = verifyDirectory(directory).findings;
    expect(missing[0]).toMatchObject({ file: '0000000002.log', problem: /missing/ as never });
  });

  it.each([
    ['a hole in a lane', [entryOf(0, 1), entryOf(0, 3)], 'follows entry 1'],
    ['a timestamp of another lane', [entryOf(0, 1, { time: 9 })], 'not of its lane'],
    [
      'time that goes back',
      [entryOf(0, 1, { time: 80 }), entryOf(0, 2, { time: 16 })],
      'not later',
    ],
    ['an epoch that falls', [entryOf(0, 1, { epoch: 16 }), entryOf(0, 2)], 'after epoch 16'],
  ])('finds %s, although every checksum is right', async (_what, entries, problem) => {
    await write((log) => {
      append(log, ...entries);
    });
    const [finding] = verifyDirectory(directory).findings;
    expect(finding?.problem).toContain(problem);
  });

  it('lets what was cut come again', async () => {
    await write((log) => {
      append(log, entryOf(0, 1), entryOf(0, 2), entryOf(0, 3));
      const cut = { type: 'truncate', lane: 0, from: index(2) } as const;
      log.append(FRAME_TYPES.truncate, [encodeWrite(cut)]);
      append(log, entryOf(0, 2, { epoch: 16, time: 40 }));
    });
    expect(verifyDirectory(directory).findings).toEqual([]);
  });

  it('finds a damaged identity, and refuses what is no data directory', () => {
    flip('identity', 20);
    expect(verifyDirectory(directory).findings[0]).toMatchObject({ file: 'identity', offset: 0 });
    expect(() => verifyDirectory(root)).toThrow('is not the data directory of a replica');
    expect(() => verifyDirectory(join(root, 'nowhere'))).toThrow('does not exist');
  });
});
