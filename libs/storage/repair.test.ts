/** W11, W12: damage in closed segments is found wherever it is, and repaired to the last bit. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MeridianError } from '../errors/errors.ts';
import type { Damage, KnownBody, Pace, Repaired } from './care.ts';
import type { FaultyDisk } from './faulty-disk.ts';
import { segmentName } from './format.ts';
import type { Log } from './log.ts';
import { crcBefore } from './crc.ts';
import { crc32 } from 'node:zlib';
import { bodyOf, DIRECTORY, formattedDisk, open, synced, turn } from './scripted-log.ts';

const SUBJECT = 2;
const path = join(DIRECTORY, segmentName(SUBJECT));

interface Written {
  readonly disk: FaultyDisk;
  readonly log: Log;
  readonly known: readonly KnownBody[];
  /** Of the whole log. */
  readonly bodies: readonly string[];
}

/** Several segments; of the frames in `SUBJECT`, where they are. */
async function written(): Promise<Written> {
  const disk = formattedDisk();
  const { log } = open(disk);
  const known: KnownBody[] = [];
  const bodies: string[] = [];
  for (let number = 0; number < 60; number += 1) {
    const body = Buffer.from(bodyOf(number));
    const { segment, offset } = log.append(1, [body]);
    bodies.push(bodyOf(number));
    if (segment === SUBJECT) known.push({ offset, type: 1, body });
  }
  await synced(log);
  return { disk, log, known, bodies };
}

const noPause: Pace = (_, next) => {
  next();
};

async function check(log: Log, segment = SUBJECT): Promise<MeridianError | null> {
  const done: { finding?: MeridianError | null } = {};
  log.care.checkSegment(segment, noPause, (finding) => (done.finding = finding));
  while (done.finding === undefined) await turn();
  return done.finding;
}

async function repair(log: Log, known: readonly KnownBody[]): Promise<Repaired & { told: number }> {
  let told = 0;
  const bodies = ({ from, to }: Damage): Promise<KnownBody[]> =>
    Promise.resolve(
      known.filter(({ offset, body }) => offset >= from && offset + body.length <= to),
    );
  const repaired = await log.care.repairSegment(SUBJECT, {
    bodies,
    beforeVoid: (count) => {
      told = count;
      return Promise.resolve();
    },
  });
  return { ...repaired, told };
}

function flip(disk: FaultyDisk, ...offsets: readonly number[]): void {
  const bytes = disk.bytes(path);
  for (const offset of offsets) bytes[offset] = (bytes[offset] ?? 0) ^ 0x41;
  disk.change(path, bytes);
}

describe('a closed segment', () => {
  it('is sound as it was written, and the one being written is not looked at', async () => {
    const { log } = await written();
    expect(log.care.closedBefore).toBe(log.position.segment);
    expect(log.care.closedBefore).toBeGreaterThan(SUBJECT + 1);
    for (let segment = 1; segment < log.care.closedBefore; segment += 1) {
      expect(await check(log, segment)).toBeNull();
    }
  });

  it('with any byte changed is reported with file and offset, and repaired to the last bit', async () => {
    const { disk, log, known, bodies } = await written();
    const sound = disk.bytes(path);
    for (let offset = 0; offset < sound.length; offset += 7) {
      flip(disk, offset);
      const finding = await check(log);
      const frame = known.findLast((one) => one.offset - 32 <= offset);
      const place = String(offset < 64 ? 0 : (frame?.offset ?? 0) - 32);
      expect(finding?.details).toMatchObject({ file: path, offset: place });
      const { voids } = await repair(log, known);
      expect([voids, disk.bytes(path).equals(sound)]).toEqual([0, true]);
    }
    expect(await check(log)).toBeNull();
    expect(open(disk.crash(() => 0)).bodies).toEqual(bodies);
  });

  it('with whole stretches and its end gone is repaired to the same frames', async () => {
    const { disk, log, known, bodies } = await written();
    const sound = disk.bytes(path);
    for (const [from, to] of [
      [64, 700],
      [300, 2000],
      [1000, sound.length],
      [sound.length - 1, sound.length],
    ] as const) {
      const bytes = Buffer.from(sound);
      bytes.fill(0xee, from, to);
      disk.change(path, bytes);
      const { voids } = await repair(log, known);
      expect([voids, await check(log), disk.bytes(path).length]).toEqual([0, null, sound.length]);
    }
    expect(open(disk.killProcess()).bodies).toEqual(bodies);
  });

  it('that is cut short is reported, and left to whoever can begin anew', async () => {
    const { disk, log, known } = await written();
    const short = disk.bytes(path).subarray(0, (known[2]?.offset ?? 0) - 32);
    disk.change(path, short);
    expect((await check(log))?.details['offset']).toBe(String(short.length));
    await expect(repair(log, known)).rejects.toMatchObject({ reason: 'CORRUPT' });
    expect(disk.bytes(path)).toEqual(short);
  });

  it('keeps void frames in place of what nobody knows, once that is safe', async () => {
    const { disk, log, known, bodies } = await written();
    const [second, third] = [known[1], known[2]];
    if (second === undefined || third === undefined) throw new Error('three frames');
    flip(disk, second.offset, third.offset + 1);
    const { voids, told } = await repair(
      log,
      known.filter((one) => one !== second),
    );
    expect([voids, told, await check(log)]).toEqual([1, 1, null]);
    const lost = Buffer.from(second.body).toString();
    expect(open(disk.crash(() => 0)).bodies).toEqual(bodies.filter((body) => body !== lost));
  });

  it('stays as it is when the power goes at any step of its repair', async () => {
    const probe = await written();
    flip(probe.disk, 500);
    const before = probe.disk.steps;
    await repair(probe.log, probe.known);
    const steps = probe.disk.steps - before;
    expect(steps).toBeGreaterThan(10);
    for (let step = 1; step <= steps; step += 1) {
      const { disk, log, known, bodies } = await written();
      const sound = disk.bytes(path);
      flip(disk, 500);
      const damaged = disk.bytes(path);
      disk.crashAtStep = disk.steps + step;
      const repaired = repair(log, known).catch(() => undefined);
      await Promise.race([repaired, dead(disk)]);
      const after = disk.crash((limit) => Math.floor(limit / 2));
      const bytes = after.bytes(path);
      expect(bytes.equals(sound) || bytes.equals(damaged)).toBe(true);
      if (bytes.equals(sound)) expect(open(after).bodies).toEqual(bodies);
    }
  });
});

async function dead(disk: FaultyDisk): Promise<void> {
  while (!disk.isOff) await turn();
}

describe('the checksum run backwards', () => {
  it('says which four bytes stood there', () => {
    for (const length of [4, 5, 40, 1000]) {
      const text = Buffer.from(Array.from({ length }, (_, i) => (i * 37 + length) % 251));
      for (const at of [0, Math.floor((length - 4) / 2), length - 4]) {
        const holed = Buffer.from(text).fill(0, at, at + 4);
        expect(crcBefore(holed, at, crc32(text))).toBe(text.readUInt32LE(at));
      }
    }
  });
});
