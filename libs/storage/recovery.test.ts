/**
 * S2: what the log makes of every way its files can be cut, flipped, swapped, lost or foreign.
 * SPEC.md "Findings" has the table that these tests walk through.
 */
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import type { FaultyDisk } from './faulty-disk.ts';
import {
  CLOSE_FRAME,
  digestOf,
  FRAME_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  segmentName,
  tagOf,
  writeFrameHeader,
} from './format.ts';
import type { Location } from './log.ts';
import { formatDirectory, openLog } from './log.ts';
import {
  append,
  appendSynced,
  bodyOf,
  DIRECTORY,
  formattedDisk,
  IDENTITY,
  open,
  synced,
} from './scripted-log.ts';

const path = (segment: number): string => `${DIRECTORY}/${segmentName(segment)}`;

interface Frame {
  readonly segment: number;
  /** Where its header starts. */
  readonly offset: number;
  readonly end: number;
}

interface Written {
  readonly disk: FaultyDisk;
  readonly bodies: string[];
  readonly frames: Frame[];
}

/** `count` frames in batches of three, the process killed (`isClosed`: ended in order). */
async function written(count: number, isClosed = false): Promise<Written> {
  const disk = formattedDisk();
  const { log } = open(disk);
  const bodies: string[] = [];
  const locations: Location[] = [];
  while (bodies.length < count) {
    for (let batch = 0; batch < 3 && bodies.length < count; batch++) {
      const body = bodyOf(bodies.length);
      locations.push(log.append(1, [Buffer.from(body)]));
      bodies.push(body);
    }
    await synced(log);
  }
  if (isClosed) await log.close();
  const frames = locations.map(({ segment, offset, bytes }) => ({
    segment,
    offset: offset - FRAME_HEADER_BYTES,
    end: offset + bytes,
  }));
  return { disk: disk.killProcess(), bodies, frames };
}

/** Opens a copy of the disk with one file changed, or (null) removed. */
function openChanged(
  disk: FaultyDisk,
  file: string,
  change: (bytes: Buffer) => Buffer | null,
): { bodies: string[]; disk: FaultyDisk; again: () => string[] } {
  const copy = disk.crash((limit) => limit);
  const bytes = change(copy.bytes(file));
  if (bytes === null) copy.remove(file);
  else copy.change(file, bytes);
  const { bodies } = open(copy);
  return { bodies, disk: copy, again: () => open(copy.killProcess()).bodies };
}

function findingOf(action: () => unknown): MeridianError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(MeridianError);
    return error as MeridianError;
  }
  throw new Error('it was opened');
}

function expectCorrupt(action: () => unknown, file: string, offset: number): MeridianError {
  const finding = findingOf(action);
  expect(finding.reason).toBe('CORRUPT');
  expect(finding.details).toMatchObject({ file, offset: String(offset) });
  expect(finding.message).toContain(`${file}, offset ${offset}`);
  return finding;
}

function flip(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
  return bytes;
}

describe('a log cut short', () => {
  it('at every byte of its last segment keeps the whole frames and can be continued', async () => {
    const { disk, bodies, frames } = await written(12);
    const size = disk.bytes(path(1)).length;
    for (let cut = SEGMENT_HEADER_BYTES; cut <= size; cut++) {
      const expected = bodies.filter((_, index) => (frames[index]?.end ?? 0) <= cut);
      const { bodies: found, disk: after } = openChanged(disk, path(1), (b) => b.subarray(0, cut));
      expect(found).toEqual(expected);
      if (cut % 5 !== 0) continue;
      const { log } = open(after.killProcess());
      const more = await appendSynced(log, expected.length, 2);
      expect(open(after.killProcess()).bodies).toEqual([...expected, ...more]);
    }
  });

  it('inside the header of the first segment is corrupt: that was on disk from the start', async () => {
    const { disk } = await written(3);
    for (let cut = 0; cut < SEGMENT_HEADER_BYTES; cut++) {
      expectCorrupt(() => openChanged(disk, path(1), (b) => b.subarray(0, cut)), path(1), 0);
    }
  });

  it('inside the first write of a later segment continues with the segment before', async () => {
    const { disk, bodies, frames } = await written(40);
    const last = frames.at(-1)?.segment ?? 0;
    expect(last).toBeGreaterThan(1);
    const inEarlier = frames.filter(({ segment }) => segment < last).length;
    const firstEnd = frames[inEarlier]?.end ?? 0;
    for (let cut = 0; cut < firstEnd; cut++) {
      const { bodies: found, again } = openChanged(disk, path(last), (b) => b.subarray(0, cut));
      expect(found).toEqual(bodies.slice(0, inEarlier));
      expect(again()).toEqual(found);
    }
  });

  it('in a segment that is not the last is corrupt, at every third byte', async () => {
    const { disk, frames } = await written(40);
    const inFirst = frames.filter(({ segment }) => segment === 1);
    const size = disk.bytes(path(1)).length;
    for (let cut = SEGMENT_HEADER_BYTES; cut < size; cut += 3) {
      const offset = inFirst.findLast(({ offset: start }) => start <= cut)?.offset ?? 0;
      expectCorrupt(() => openChanged(disk, path(1), (b) => b.subarray(0, cut)), path(1), offset);
    }
  });

  it('and filled with zeros is a torn tail, at every byte of the last frames', async () => {
    const { disk, bodies, frames } = await written(12);
    const size = disk.bytes(path(1)).length;
    const from = frames.at(-5)?.offset ?? 0;
    for (let cut = from; cut < size; cut++) {
      const expected = bodies.filter((_, index) => (frames[index]?.end ?? 0) <= cut);
      const { bodies: found, again } = openChanged(disk, path(1), (b) =>
        Buffer.concat([b.subarray(0, cut), Buffer.alloc(5000)]),
      );
      expect(found).toEqual(expected);
      expect(again()).toEqual(found);
    }
  });
});

describe('a flipped bit', () => {
  it('before the last frame is corrupt and names the frame, at every byte', async () => {
    const { disk, frames } = await written(12);
    const last = frames.at(-1)?.offset ?? 0;
    for (let at = 0; at < last; at++) {
      const offset = frames.findLast(({ offset: start }) => start <= at)?.offset ?? 0;
      expectCorrupt(() => openChanged(disk, path(1), (b) => flip(b, at)), path(1), offset);
    }
  });

  it('in the last frame of a killed process is a torn tail: nothing proves it was whole', async () => {
    const { disk, bodies, frames } = await written(12);
    const last = frames.at(-1);
    for (let at = last?.offset ?? 0; at < (last?.end ?? 0); at++) {
      const { bodies: found, again } = openChanged(disk, path(1), (b) => flip(b, at));
      expect(found).toEqual(bodies.slice(0, -1));
      expect(again()).toEqual(found);
    }
  });

  it('anywhere in a log closed in order loses no frame silently', async () => {
    const { disk, bodies, frames } = await written(12, true);
    const size = disk.bytes(path(1)).length;
    const end = frames.at(-1)?.end ?? 0;
    expect(size).toBe(end + FRAME_HEADER_BYTES);
    for (let at = 0; at < end; at++) {
      const offset = frames.findLast(({ offset: start }) => start <= at)?.offset ?? 0;
      expectCorrupt(() => openChanged(disk, path(1), (b) => flip(b, at)), path(1), offset);
    }
    for (let at = end; at < size; at++) {
      expect(openChanged(disk, path(1), (b) => flip(b, at)).bodies).toEqual(bodies);
    }
  });

  it('in an earlier segment is corrupt, at every third byte', async () => {
    const { disk, frames } = await written(40);
    const inFirst = frames.filter(({ segment }) => segment === 1);
    for (let at = 0; at < disk.bytes(path(1)).length; at += 3) {
      const offset = inFirst.findLast(({ offset: start }) => start <= at)?.offset ?? 0;
      expectCorrupt(() => openChanged(disk, path(1), (b) => flip(b, at)), path(1), offset);
    }
  });

  it('says whether the damaged frame had been synced', async () => {
    const disk = formattedDisk();
    const { log } = open(disk);
    await appendSynced(log, 0, 3);
    await appendSynced(log, 3, 1);
    const damage = (at: number): MeridianError =>
      findingOf(() => openChanged(disk.killProcess(), path(1), (b) => flip(b, at)));
    expect(damage(SEGMENT_HEADER_BYTES).details['synced']).toBe('unknown');
    const fresh = formattedDisk();
    const second = open(fresh);
    await appendSynced(second.log, 0, 1);
    await appendSynced(second.log, 1, 1);
    const finding = findingOf(() =>
      openChanged(fresh.killProcess(), path(1), (b) => flip(b, SEGMENT_HEADER_BYTES)),
    );
    expect(finding.details['synced']).toBe('yes');
  });

  it('is noticed when a single frame is read, at every byte', async () => {
    const disk = formattedDisk();
    const { log } = open(disk);
    const location = log.append(7, [Buffer.from('some '), Buffer.from('body')]);
    await synced(log);
    const start = location.offset - FRAME_HEADER_BYTES;
    const original = disk.bytes(path(1));
    for (let at = start; at < location.offset + location.bytes; at++) {
      disk.change(path(1), flip(Buffer.from(original), at));
      expectCorrupt(() => log.read(location), path(1), start);
    }
    disk.change(path(1), original);
    expect(Buffer.from(log.read(location)).toString()).toBe('some body');
  });
});

describe('bytes in the wrong place', () => {
  it('are corrupt when two frames of the same size are swapped, the last ones too', async () => {
    const disk = formattedDisk();
    const { log } = open(disk);
    const locations = ['aaaa', 'bbbb', 'cccc', 'dddd'].map((body) =>
      log.append(1, [Buffer.from(body)]),
    );
    await synced(log);
    const killed = disk.killProcess();
    const frameBytes = FRAME_HEADER_BYTES + 4;
    for (let one = 0; one < 4; one++) {
      for (let other = one + 1; other < 4; other++) {
        const [a, b] = [one, other].map((i) => (locations[i]?.offset ?? 0) - FRAME_HEADER_BYTES);
        const swap = (bytes: Buffer): Buffer => {
          const first = Buffer.from(bytes.subarray(a, (a ?? 0) + frameBytes));
          bytes.copy(bytes, a, b, (b ?? 0) + frameBytes);
          first.copy(bytes, b);
          return bytes;
        };
        expectCorrupt(() => openChanged(killed, path(1), swap), path(1), a ?? 0);
      }
    }
  });

  it('are corrupt when blocks are swapped', async () => {
    const { disk } = await written(40);
    const block = 512;
    const size = disk.bytes(path(1)).length;
    for (let from = 0; from + 2 * block <= size; from += block) {
      const finding = findingOf(() =>
        openChanged(disk, path(1), (bytes) => {
          const first = Buffer.from(bytes.subarray(from, from + block));
          bytes.copy(bytes, from, from + block, from + 2 * block);
          first.copy(bytes, from + block);
          return bytes;
        }),
      );
      expect(finding.reason).toBe('CORRUPT');
    }
  });

  it('are noticed when a single frame is read from another place', async () => {
    const { disk, frames } = await written(40);
    const { log } = open(disk);
    const [one, two] = frames.filter(({ end, offset }) => end - offset < 40);
    if (one === undefined || two === undefined) throw new Error('no short frames');
    const bytes = disk.bytes(path(1));
    bytes.copy(bytes, two.offset, one.offset, one.end);
    disk.change(path(1), bytes);
    const location = {
      segment: 1,
      offset: two.offset + FRAME_HEADER_BYTES,
      bytes: one.end - one.offset - FRAME_HEADER_BYTES,
    };
    expectCorrupt(() => log.read(location), path(1), two.offset);
    expectCorrupt(() => log.read({ ...location, segment: 99 }), path(99), 0);
  });

  it('are corrupt when a whole frame is left from before a cut', async () => {
    // The frame fits by number, place and checksum; only the chain tells that it follows another.
    const { disk, frames, bodies } = await written(4);
    const third = frames[2];
    const fourth = frames[3];
    if (third === undefined || fourth === undefined) throw new Error('four frames');
    const digest = digestOf(disk.bytes(`${DIRECTORY}/identity`));
    const forged = (bytes: Buffer): Buffer => {
      bytes.fill('y', third.offset + FRAME_HEADER_BYTES, third.end);
      writeFrameHeader(bytes, third.offset, tagOf(digest, 1), {
        bodyBytes: third.end - third.offset - FRAME_HEADER_BYTES,
        previous: bytes.readUInt32LE(third.offset + 12),
        offset: third.offset,
        unsynced: 3,
        number: 3,
        type: 1,
      });
      return bytes;
    };
    const finding = expectCorrupt(() => openChanged(disk, path(1), forged), path(1), fourth.offset);
    expect(finding.message).toContain('frame 4 does not continue the frame before it');
    expect(bodies.length).toBe(4);
  });

  it('are corrupt when a frame fits by number and chain, but was meant for another offset', async () => {
    const { disk, frames } = await written(4);
    const last = frames[3];
    if (last === undefined) throw new Error('four frames');
    const digest = digestOf(disk.bytes(`${DIRECTORY}/identity`));
    const moved = (bytes: Buffer): Buffer => {
      writeFrameHeader(bytes, last.offset, tagOf(digest, 1), {
        bodyBytes: last.end - last.offset - FRAME_HEADER_BYTES,
        previous: bytes.readUInt32LE(last.offset + 12),
        offset: last.offset + 512,
        unsynced: 1,
        number: 4,
        type: 1,
      });
      return bytes;
    };
    const finding = expectCorrupt(() => openChanged(disk, path(1), moved), path(1), last.offset);
    expect(finding.message).toContain(`it holds the frame of offset ${last.offset + 512}`);
  });

  it('inside a body do not look like frames of the log (a body holds a copy of the log)', async () => {
    const { disk, bodies } = await written(3);
    const { log } = open(disk);
    const image = disk.bytes(path(1));
    // What a client can know is the format; the tag of this life of this log it cannot.
    const foreign = Buffer.from(image);
    for (let at = 0; at + 4 <= foreign.length; at++) {
      if (foreign.readUInt32LE(at) === image.readUInt32LE(SEGMENT_HEADER_BYTES + 8)) {
        foreign.writeUInt32LE(0xdeadbeef, at);
      }
    }
    log.append(1, [foreign]);
    await synced(log);
    const size = disk.bytes(path(1)).length;
    const cut = openChanged(disk.killProcess(), path(1), (b) => b.subarray(0, size - 1));
    expect(cut.bodies).toEqual(bodies);
  });
});

describe('a file', () => {
  it('that is missing is corrupt and named, whichever segment', async () => {
    const { disk, frames } = await written(80);
    const last = frames.at(-1)?.segment ?? 0;
    expect(last).toBeGreaterThan(2);
    for (let segment = 1; segment < last; segment++) {
      expectCorrupt(() => openChanged(disk, path(segment), () => null), path(segment), 0);
      expectCorrupt(
        () => openChanged(disk, path(segment), () => Buffer.alloc(0)),
        path(segment),
        0,
      );
    }
  });

  it('of another life of the same log is corrupt', async () => {
    const { disk } = await written(3);
    const other = await written(3);
    const finding = expectCorrupt(
      () => openChanged(disk, path(1), () => other.disk.bytes(path(1))),
      path(1),
      0,
    );
    expect(finding.message).toContain('another log');
  });

  it('of another segment is corrupt', async () => {
    const { disk } = await written(80);
    expectCorrupt(() => openChanged(disk, path(2), () => disk.bytes(path(3))), path(2), 0);
  });

  it('that is no part of a log is refused', async () => {
    const { disk } = await written(3);
    disk.close(disk.open(`${DIRECTORY}/notes.txt`, 'create'));
    const finding = findingOf(() => open(disk));
    expect(finding.reason).toBe('REFUSED');
    expect(finding.message).toContain('notes.txt');
  });

  it('far larger than a segment is not read into memory', async () => {
    const { disk } = await written(3);
    disk.size = () => 2 ** 40;
    expect(findingOf(() => open(disk)).reason).toBe('CORRUPT');
  });
});

describe('an opened log', () => {
  it('ends when the replay does, and leaves the directory free', async () => {
    const { disk, bodies } = await written(3);
    const options = {
      directory: DIRECTORY,
      identity: IDENTITY,
      files: disk,
      onFatal: () => undefined,
    };
    expect(() =>
      openLog(options, () => {
        throw new Error('not understood');
      }),
    ).toThrow('not understood');
    expect(open(disk).bodies).toEqual(bodies);
  });

  it('has cut the torn tail from the file and reports how much, however long it was', async () => {
    const { disk, bodies } = await written(3);
    const whole = disk.bytes(path(1));
    disk.change(path(1), Buffer.concat([whole, Buffer.alloc(9000, 'torn')]));
    const { log } = open(disk);
    expect(log.stats).toMatchObject({ tornBytes: 9000, recoveredFrames: 3 });
    expect(disk.bytes(path(1)).equals(whole)).toBe(true);
    // Were it still there, the segment would look damaged as soon as a later one exists.
    const more = await appendSynced(log, 3, 40);
    expect(open(disk.killProcess()).bodies).toEqual([...bodies, ...more]);
  });

  it('never shows the mark of an orderly close, and does not repeat it', async () => {
    const disk = formattedDisk();
    const first = open(disk);
    append(first.log, 'one');
    await first.log.close();
    const size = disk.bytes(path(1)).length;
    for (let life = 0; life < 3; life++) {
      const { log, bodies } = open(disk);
      expect(bodies).toEqual(['one']);
      await log.close();
    }
    expect(disk.bytes(path(1)).length).toBe(size);
    expect(CLOSE_FRAME).toBe(0);
  });

  it('is not formatted again', () => {
    const disk = formattedDisk();
    expect(
      findingOf(() => {
        formatDirectory(DIRECTORY, IDENTITY, disk);
      }).reason,
    ).toBe('REFUSED');
  });
});
