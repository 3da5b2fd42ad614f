/**
 * What disks do: slow, full, failing, with flipped bits, cut files, wiped, or rolled back to a copy. The
 * first three happen to a running replica (preload/disk.mjs); the others to the files of one that is
 * down meanwhile, and healing is starting it: what it makes of what it finds is the point.
 */
import {
  closeSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Replica } from '../cluster/replica.ts';
import type { Random } from '../random.ts';
import type { Fault } from './fault.ts';
import { pause } from './fault.ts';

/** Every write takes this much longer. */
export function slowDisk(replica: Replica, writeDelayMs: number): Fault {
  return {
    name: `disk +${String(writeDelayMs)} ms`,
    target: replica.name,
    inject: () => {
      replica.setDisk({ writeDelayMs });
      return Promise.resolve();
    },
    heal: () => {
      replica.setDisk({});
      return Promise.resolve();
    },
  };
}

/**
 * Writes fail: the disk is full, or broken. The process may end (S1), and a keeper would start it again
 * and again; so does this.
 */
export function failingDisk(replica: Replica, how: 'EIO' | 'ENOSPC'): Fault {
  let over = false;
  let restarted = false;
  let keeper: Promise<void> = Promise.resolve();
  const keep = async (): Promise<void> => {
    while (!over) {
      if (!replica.running) {
        restarted = true;
        await replica.launch();
      }
      await pause(KEEPER_MS);
    }
  };
  return {
    name: how === 'EIO' ? 'disk fails' : 'disk full',
    target: replica.name,
    inject: () => {
      over = false;
      restarted = false;
      replica.setDisk({ failWrites: how });
      keeper = keep();
      return Promise.resolve();
    },
    heal: async () => {
      over = true;
      await keeper;
      replica.setDisk({});
      // One that could not write when it started, or has met an error, may be about to give up: anew.
      if (restarted || how === 'EIO') await replica.kill();
      await replica.start();
    },
  };
}

/** While it is down, `bits` bits of its log change. */
export function flippedBits(replica: Replica, random: Random, bits: number): Fault {
  return whileDown(replica, `${String(bits)} flipped bits`, () => {
    const files = logFiles(replica);
    for (let i = 0; i < bits; i++) {
      const file = random.pick(files);
      flipBit(file, random.integer(0, writtenBytes(file) - 1), random.integer(0, 7));
    }
  });
}

/** While it is down, the end of its log is cut off, in the middle of what was synced. */
export function cutFile(replica: Replica, random: Random): Fault {
  return whileDown(replica, 'log cut short', () => {
    const file = logFiles(replica).at(-1);
    if (file === undefined) return;
    truncateSync(file, random.integer(1, writtenBytes(file)));
  });
}

/** Its directory is gone. */
export function wipedDisk(replica: Replica): Fault {
  return whileDown(replica, 'disk wiped', () => {
    replica.wipeData();
  });
}

/**
 * Its directory becomes what it was when the fault was made up: a restored snapshot. `taken` is a copy
 * that `snapshot` took earlier.
 */
export function rolledBack(replica: Replica, taken: string): Fault {
  return whileDown(replica, 'rolled back to a copy', () => {
    replica.restoreData(taken);
  });
}

/** Stops it for a moment, copies its directory, starts it again; returns where the copy is. */
export async function snapshot(replica: Replica): Promise<string> {
  const copy = `${replica.dataDirectory}.copy`;
  rmSync(copy, { recursive: true, force: true });
  await replica.kill();
  replica.copyData(copy);
  await replica.start();
  return copy;
}

const KEEPER_MS = 200;

function whileDown(replica: Replica, name: string, damage: () => void): Fault {
  return {
    name,
    target: replica.name,
    inject: async () => {
      await replica.kill();
      damage();
    },
    heal: () => replica.start(),
  };
}

function logFiles(replica: Replica): string[] {
  return readdirSync(replica.dataDirectory)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => join(replica.dataDirectory, name))
    .filter((file) => writtenBytes(file) > 0);
}

/** Segments are allocated ahead: what follows the last byte that is not zero was never written. */
function writtenBytes(file: string): number {
  const { size } = statSync(file);
  const descriptor = openSync(file, 'r');
  try {
    const chunk = Buffer.alloc(1 << 20);
    for (let end = size; end > 0; end -= chunk.length) {
      const start = Math.max(0, end - chunk.length);
      const count = readSync(descriptor, chunk, 0, end - start, start);
      for (let i = count - 1; i >= 0; i--) if (chunk[i] !== 0) return start + i + 1;
    }
    return 0;
  } finally {
    closeSync(descriptor);
  }
}

function flipBit(file: string, position: number, bit: number): void {
  const descriptor = openSync(file, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(descriptor, byte, 0, 1, position);
    byte[0] = (byte[0] ?? 0) ^ (1 << bit);
    writeSync(descriptor, byte, 0, 1, position);
  } finally {
    closeSync(descriptor);
  }
}
