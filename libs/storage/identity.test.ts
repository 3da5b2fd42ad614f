/** S4: whose directory it is, and what else it can be. Bytes on a faulty disk; see log.test.ts for modes. */
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { FRAME_HEADER_BYTES, segmentName } from './format.ts';
import { formatDirectory, inspectDirectory, openLog } from './log.ts';
import type { Identity } from './log.ts';
import { appendSynced, DIRECTORY, formattedDisk, IDENTITY, open } from './scripted-log.ts';
import { crc32 } from 'node:zlib';

const FILE = `${DIRECTORY}/identity`;

function findingOf(action: () => unknown): MeridianError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(MeridianError);
    return error as MeridianError;
  }
  throw new Error('nothing was refused');
}

function openAs(disk: FaultyDisk, identity: Identity): void {
  openLog(
    { directory: DIRECTORY, identity, files: disk, onFatal: () => undefined },
    () => undefined,
  );
}

describe('a directory', () => {
  it('is missing, empty or a log', () => {
    const disk = new FaultyDisk();
    expect(inspectDirectory(DIRECTORY, disk)).toEqual({ kind: 'missing' });
    disk.makeDirectory(DIRECTORY);
    expect(inspectDirectory(DIRECTORY, disk)).toEqual({ kind: 'empty' });
    formatDirectory(DIRECTORY, IDENTITY, disk);
    expect(inspectDirectory(DIRECTORY, disk)).toEqual({ kind: 'log', identity: IDENTITY });
  });

  it('that holds something else is neither formatted nor opened', () => {
    const disk = new FaultyDisk();
    disk.makeDirectory(DIRECTORY);
    disk.close(disk.open(`${DIRECTORY}/thesis.tex`, 'create'));
    for (const action of [
      () => {
        formatDirectory(DIRECTORY, IDENTITY, disk);
      },
      () => {
        openAs(disk, IDENTITY);
      },
    ]) {
      const finding = findingOf(action);
      expect(finding.reason).toBe('REFUSED');
      expect(finding.message).toContain('thesis.tex');
    }
    expect(disk.list(DIRECTORY)).toEqual(['thesis.tex']);
  });

  it('that is missing or empty is not opened, nothing is created', () => {
    const disk = new FaultyDisk();
    expect(findingOf(() => open(disk)).message).toBe(
      '/data is missing, not a log: format it first',
    );
    expect(disk.list(DIRECTORY)).toBeNull();
    disk.makeDirectory(DIRECTORY);
    expect(findingOf(() => open(disk)).reason).toBe('REFUSED');
    expect(disk.list(DIRECTORY)).toEqual([]);
  });

  it('of anybody else is refused, naming what differs', () => {
    const disk = formattedDisk();
    const others: Partial<Identity>[] = [
      { cluster: 'other' },
      { instance: 'other' },
      { replica: 2 },
      { generation: 4 },
    ];
    for (const other of others) {
      const finding = findingOf(() => {
        openAs(disk, { ...IDENTITY, ...other });
      });
      const [field, expected] = Object.entries(other)[0] ?? [];
      expect(finding.reason).toBe('WRONG_TARGET');
      expect(finding.details).toMatchObject({ field, expected: String(expected) });
    }
    openAs(disk, IDENTITY);
  });

  it('whose identity is no identity is not formatted', () => {
    for (const wrong of [
      { cluster: '' },
      { instance: 'x'.repeat(256) },
      { replica: -1 },
      { generation: 0.5 },
    ]) {
      const disk = new FaultyDisk();
      const finding = findingOf(() => {
        formatDirectory(DIRECTORY, { ...IDENTITY, ...wrong }, disk);
      });
      expect(finding.reason).toBe('INVALID');
      expect(disk.list(DIRECTORY)).toBeNull();
    }
  });
});

describe('the identity file', () => {
  it('with any bit flipped, or cut at any byte, is corrupt', () => {
    const disk = formattedDisk();
    const original = disk.bytes(FILE);
    for (let at = 0; at < original.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(original);
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
        disk.change(FILE, flipped);
        expect(findingOf(() => open(disk)).reason).toBe('CORRUPT');
      }
      disk.change(FILE, original.subarray(0, at));
      expect(findingOf(() => inspectDirectory(DIRECTORY, disk)).details).toEqual({
        file: FILE,
        offset: '0',
      });
    }
    disk.change(FILE, original);
    open(disk);
  });

  it('when missing beside segments with frames is corrupt, and not formatted over', async () => {
    const disk = formattedDisk();
    await appendSynced(open(disk).log, 0, 3);
    const killed = disk.killProcess();
    killed.remove(FILE);
    for (const action of [
      () => inspectDirectory(DIRECTORY, killed),
      () => {
        formatDirectory(DIRECTORY, IDENTITY, killed);
      },
    ]) {
      expect(findingOf(action).reason).toBe('CORRUPT');
    }
  });

  it('of another format version is refused, with both versions', () => {
    const disk = formattedDisk();
    const { version, checksum, ...rest } = JSON.parse(disk.bytes(FILE).toString()) as Record<
      string,
      unknown
    >;
    expect([version, typeof checksum]).toEqual([1, 'string']);
    const { cluster, instance, replica, generation, log } = rest;
    const fields = { version: 2, cluster, instance, replica, generation, log };
    const sum = crc32(JSON.stringify(fields)).toString(16).padStart(8, '0');
    disk.change(FILE, Buffer.from(`${JSON.stringify({ ...fields, checksum: sum }, null, 2)}\n`));
    const finding = findingOf(() => open(disk));
    expect(finding.reason).toBe('REFUSED');
    expect(finding.details).toMatchObject({ expected: '1', actual: '2' });
  });
});

describe('a segment', () => {
  it('of another format version is refused, with both versions', async () => {
    const disk = formattedDisk();
    await appendSynced(open(disk).log, 0, 3);
    const killed = disk.killProcess();
    const path = `${DIRECTORY}/${segmentName(1)}`;
    const bytes = killed.bytes(path);
    bytes.writeUInt32LE(2, 12);
    bytes.writeUInt32LE(crc32(bytes.subarray(12, 2 * FRAME_HEADER_BYTES)), 8);
    killed.change(path, bytes);
    const finding = findingOf(() => open(killed));
    expect(finding.reason).toBe('REFUSED');
    expect(finding.message).toContain(
      `${path} is of format version 2, this program reads version 1`,
    );
  });
});
