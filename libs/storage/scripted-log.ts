/**
 * What the tests of the log share: a formatted faulty disk, frames whose bodies tell their number,
 * and a workload that notes what it was promised. For tests only.
 */
import { FaultyDisk } from './faulty-disk.ts';
import { formatDirectory, openLog } from './log.ts';
import type { Identity, Log, LogOptions } from './log.ts';

export const DIRECTORY = '/data';
export const IDENTITY: Identity = { cluster: 'c', instance: 'i', replica: 1, generation: 3 };
/** The smallest allowed, so that short workloads roll over. */
export const SEGMENT_BYTES = 4096;

export function formattedDisk(): FaultyDisk {
  const disk = new FaultyDisk();
  formatDirectory(DIRECTORY, IDENTITY, disk);
  return disk;
}

export interface Opened {
  readonly log: Log;
  readonly bodies: string[];
  readonly fatal: Error[];
}

export function open(disk: FaultyDisk, extra: Partial<LogOptions> = {}): Opened {
  const bodies: string[] = [];
  const fatal: Error[] = [];
  const options = {
    directory: DIRECTORY,
    identity: IDENTITY,
    segmentBytes: SEGMENT_BYTES,
    files: disk,
    onFatal: (error: Error) => void fatal.push(error),
    ...extra,
  };
  const log = openLog(options, (frame) => bodies.push(Buffer.from(frame.body).toString()));
  return { log, bodies, fatal };
}

/** Bodies of very different sizes, each different from every other. */
export function bodyOf(number: number): string {
  const lengths = [0, 1, 30, 200, 3, 900, 64];
  return `${number}:${'x'.repeat(lengths[number % lengths.length] ?? 0)}`;
}

export function append(log: Log, body: string): void {
  log.append(1, [Buffer.from(body)]);
}

export function synced(log: Log): Promise<void> {
  return new Promise((resolve) => {
    log.sync(resolve);
  });
}

/** Appends `count` frames from number `from` on and waits until they are on disk. */
export async function appendSynced(log: Log, from: number, count: number): Promise<string[]> {
  const bodies = Array.from({ length: count }, (_, index) => bodyOf(from + index));
  for (const body of bodies) append(log, body);
  await synced(log);
  return bodies;
}

export interface Outcome {
  /** Everything that was appended, in order, since the log was formatted. */
  readonly appended: string[];
  /** How many of them were confirmed. */
  confirmed: number;
  /** The log's fatal errors, and confirmations that came after one. */
  readonly fatal: Error[];
  confirmedAfterFatal: number;
  /** Thrown by `openLog`. */
  refused: unknown;
}

/**
 * Opens the log, appends and syncs `batches` batches of 1 to 4 frames, two syncs under way at a
 * time, and closes it; ends early when the log fails or the power goes.
 */
export async function work(disk: FaultyDisk, outcome: Outcome, batches: number): Promise<Outcome> {
  let opened: Opened;
  try {
    opened = open(disk);
  } catch (error) {
    outcome.refused = error;
    return outcome;
  }
  const { log, fatal, bodies } = opened;
  outcome.appended.splice(0, Number.POSITIVE_INFINITY, ...bodies);
  outcome.confirmed = bodies.length;
  const isOver = (): boolean => disk.isOff || fatal.length > 0;
  for (let batch = 0; batch < batches && !isOver(); batch++) {
    for (let count = 0; count <= batch % 4; count++) {
      const body = bodyOf(outcome.appended.length);
      append(log, body);
      outcome.appended.push(body);
    }
    const promised = outcome.appended.length;
    log.sync(() => {
      if (fatal.length > 0) outcome.confirmedAfterFatal++;
      outcome.confirmed = promised;
    });
    const enough = promised - (batch % 2 === 0 ? 5 : 0);
    while (outcome.confirmed < enough && !isOver()) await turn();
  }
  const progress = { isClosed: false };
  const finish = (): void => {
    progress.isClosed = true;
  };
  log.close().then(finish, finish);
  while (!progress.isClosed && !disk.isOff) await turn();
  outcome.fatal.push(...fatal);
  return outcome;
}

export function nothingYet(): Outcome {
  return { appended: [], confirmed: 0, fatal: [], confirmedAfterFatal: 0, refused: undefined };
}

/** One turn of the event loop: every completion that is due has come. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
