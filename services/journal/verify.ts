/**
 * Checks a data directory without taking part: opens nothing for writing, takes no lock, cuts and repairs
 * nothing, and goes on after damage, so that all of it is reported, each with file and offset. May look
 * at the directory of a running replica: what is being written at the moment looks like an unfinished
 * write at the end, and is reported as that.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MeridianError } from '../../libs/errors/errors.ts';
import { readCheckpoint } from '../../libs/storage/checkpoint.ts';
import { nodeFiles } from '../../libs/storage/files.ts';
import {
  CLOSE_FRAME,
  FRAME_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  checkpointOfName,
  findFrame,
  isUnfinished,
  readFrameHeader,
  readSegmentHeader,
  segmentName,
  segmentOfName,
  tagOf,
} from '../../libs/storage/format.ts';
import {
  ASIDE_PREFIX,
  IDENTITY_FILE,
  LOCK_FILE,
  readIdentity,
} from '../../libs/storage/identity.ts';
import type { Identity } from '../../libs/storage/identity.ts';
import { LaneCheck } from './verify-lanes.ts';
import type { LaneSummary } from './verify-lanes.ts';

export interface Finding {
  readonly file: string;
  readonly offset: number;
  readonly problem: string;
}

export interface VerifyReport {
  readonly directory: string;
  /** No findings. */
  readonly sound: boolean;
  readonly identity: Identity | null;
  /** Process that seems to use the directory; null for none. */
  readonly inUseBy: number | null;
  readonly segments: readonly {
    readonly file: string;
    readonly bytes: number;
    readonly frames: number;
  }[];
  readonly frames: number;
  readonly entries: number;
  readonly batches: number;
  readonly records: number;
  readonly lanes: readonly LaneSummary[];
  readonly checkpoints: readonly { readonly file: string; readonly sections: number }[];
  /** Set aside as damaged at an earlier start. */
  readonly aside: readonly string[];
  /** Bytes of an unfinished write at the end; the next start cuts them. */
  readonly unfinishedBytes: number;
  /** The last frame is the mark of an orderly close. */
  readonly closed: boolean;
  readonly findings: readonly Finding[];
}

/** A damaged log can have any number. */
const FINDINGS_MAX = 100;

interface Position {
  frame: number;
  checksum: number;
  closed: boolean;
}

/** Throws REFUSED when there is nothing to look at. */
export function verifyDirectory(directory: string): VerifyReport {
  if (!existsSync(directory)) {
    throw new MeridianError('REFUSED', `${directory} does not exist`, { details: { directory } });
  }
  const names = readdirSync(directory).sort();
  const findings: Finding[] = [];
  const find = (file: string, offset: number, problem: string): void => {
    if (findings.length < FINDINGS_MAX) findings.push({ file, offset, problem });
  };
  const known = identityIn(directory, names, find);
  const run = new Run(directory, find);
  const segments = known === null ? [] : run.segments(names, known.digest);
  const checkpoints = known === null ? [] : run.checkpoints(names, known.digest);
  run.strangers(names);
  const first = segments[0]?.number ?? 1;
  if (first > 1 && checkpoints.length === 0) {
    find(segmentName(first), 0, 'older segments are gone and there is no checkpoint');
  }
  return {
    directory,
    sound: findings.length === 0,
    identity: known?.identity ?? null,
    inUseBy: processIn(directory, names),
    segments: segments.map(({ file, bytes, frames }) => ({ file, bytes, frames })),
    frames: segments.reduce((sum, { frames }) => sum + frames, 0),
    entries: run.lanes.entries,
    batches: run.lanes.batches,
    records: run.lanes.records,
    lanes: run.lanes.summaries(),
    checkpoints,
    aside: names.filter((name) => name.startsWith(ASIDE_PREFIX)),
    unfinishedBytes: run.unfinishedBytes,
    closed: run.closed,
    findings,
  };
}

type Find = (file: string, offset: number, problem: string) => void;

function identityIn(
  directory: string,
  names: readonly string[],
  find: Find,
): { readonly identity: Identity; readonly digest: Buffer } | null {
  if (!names.includes(IDENTITY_FILE)) {
    if (!names.some((name) => segmentOfName(name) !== undefined)) {
      throw new MeridianError('REFUSED', `${directory} is not the data directory of a replica`, {
        details: { directory },
      });
    }
    find(IDENTITY_FILE, 0, 'missing, although there are segments: without it none can be checked');
    return null;
  }
  try {
    return readIdentity(directory, nodeFiles);
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error;
    find(IDENTITY_FILE, 0, error.message);
    return null;
  }
}

class Run {
  readonly lanes = new LaneCheck();
  unfinishedBytes = 0;
  closed = false;
  readonly #directory: string;
  readonly #find: Find;

  constructor(directory: string, find: Find) {
    this.#directory = directory;
    this.#find = find;
  }

  segments(names: readonly string[], digest: Buffer) {
    const numbers = names.flatMap((name) => segmentOfName(name) ?? []);
    const read: { number: number; file: string; bytes: number; frames: number }[] = [];
    let before: Position | null = null;
    const lastUsed = numbers.findLastIndex(
      (number) => this.#bytesOf(segmentName(number)).length > 0,
    );
    for (const [at, number] of numbers.slice(0, lastUsed + 1).entries()) {
      const file = segmentName(number);
      const previous = numbers[at - 1];
      if (previous !== undefined && number !== previous + 1) {
        this.#find(segmentName(previous + 1), 0, `missing, but ${file} exists`);
        before = null;
      }
      const bytes = this.#bytesOf(file);
      const result = this.#segment(file, number, bytes, digest, before, at === lastUsed);
      before = result.end;
      read.push({ number, file, bytes: bytes.length, frames: result.frames });
    }
    this.closed = before?.closed ?? false;
    return read;
  }

  checkpoints(names: readonly string[], digest: Buffer) {
    return names.flatMap((file) => {
      const number = checkpointOfName(file);
      if (number === undefined) return [];
      let sections = 0;
      try {
        const place = { files: nodeFiles, directory: this.#directory, digest };
        const rest = readCheckpoint(place, number);
        while (rest.next().done !== true) sections += 1;
      } catch (error) {
        if (!(error instanceof MeridianError)) throw error;
        // A running replica drops old ones.
        if (!existsSync(join(this.#directory, file))) return [];
        this.#find(file, Number(error.details['offset'] ?? 0), error.message);
      }
      return [{ file, sections }];
    });
  }

  /** Files that are no part of a log: the replica would refuse to start. */
  strangers(names: readonly string[]): void {
    for (const name of names) {
      const ours =
        name === IDENTITY_FILE ||
        name === LOCK_FILE ||
        name.startsWith(ASIDE_PREFIX) ||
        isUnfinished(name) ||
        segmentOfName(name) !== undefined ||
        checkpointOfName(name) !== undefined;
      if (!ours) this.#find(name, 0, 'does not belong to a log');
    }
  }

  /** Frames one after the other; behind damage, from the next whole frame on. */
  #segment(
    file: string,
    number: number,
    bytes: Buffer,
    digest: Buffer,
    before: Position | null,
    isLast: boolean,
  ): { frames: number; end: Position | null } {
    const tag = tagOf(digest, number);
    let position = this.#header(file, number, bytes, digest, before, isLast);
    if (position === null && isLast && findFrame(bytes, 0, tag) < 0) {
      this.unfinishedBytes = bytes.length;
      return { frames: 0, end: before };
    }
    let frames = 0;
    let offset = SEGMENT_HEADER_BYTES;
    while (offset < bytes.length) {
      const header = readFrameHeader(bytes, offset, tag);
      if (header === undefined) {
        const next = findFrame(bytes, offset, tag);
        if (next < 0 && isLast) {
          this.unfinishedBytes = bytes.length - offset;
          break;
        }
        const damaged = (next < 0 ? bytes.length : next) - offset;
        const after =
          next < 0 ? 'a later segment follows' : `whole frames follow at offset ${next}`;
        this.#find(file, offset, `${damaged} damaged bytes, and ${after}`);
        if (next < 0) return { frames, end: null };
        offset = next;
        position = null;
        continue;
      }
      const misplaced = misplacement(header, offset, position);
      if (misplaced !== null) this.#find(file, offset, misplaced);
      const body = bytes.subarray(
        offset + FRAME_HEADER_BYTES,
        offset + FRAME_HEADER_BYTES + header.bodyBytes,
      );
      const closed = header.type === CLOSE_FRAME;
      if (!closed) {
        const problem = this.lanes.take(header.type, body);
        if (problem !== null) this.#find(file, offset, problem);
      }
      frames += 1;
      position = { frame: header.number, checksum: header.checksum, closed };
      offset += FRAME_HEADER_BYTES + header.bodyBytes;
    }
    return { frames, end: position };
  }

  /** Where the frames of the segment go on from; null when that is not known. */
  #header(
    file: string,
    number: number,
    bytes: Buffer,
    digest: Buffer,
    before: Position | null,
    isLast: boolean,
  ): Position | null {
    const finding = readSegmentHeader(bytes, digest);
    if (finding.kind !== 'valid') {
      const torn = isLast && findFrame(bytes, 0, tagOf(digest, number)) < 0;
      if (torn) return null;
      const what = {
        damaged: 'the header of the segment is damaged',
        foreign: 'it is a segment of another log, or of an earlier life of this one',
        version: 'the segment is of another format version',
      }[finding.kind];
      this.#find(file, 0, what);
      return null;
    }
    const { segment, firstFrame, previous } = finding.header;
    if (segment !== number) this.#find(file, 0, `it is segment ${segment}`);
    if (before !== null && (firstFrame !== before.frame + 1 || previous !== before.checksum)) {
      this.#find(
        file,
        0,
        `it continues after frame ${firstFrame - 1}, the segment before ends with ${before.frame}`,
      );
    }
    return { frame: firstFrame - 1, checksum: previous, closed: false };
  }

  /** Empty when a running replica has just removed it. */
  #bytesOf(name: string): Buffer {
    try {
      return readFileSync(join(this.#directory, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
      throw new MeridianError(
        'REFUSED',
        `cannot read ${join(this.#directory, name)}: ${String(error)}`,
      );
    }
  }
}

function misplacement(
  header: { readonly offset: number; readonly number: number; readonly previous: number },
  offset: number,
  before: Position | null,
): string | null {
  if (header.offset !== offset) return `it holds the frame of offset ${header.offset}`;
  if (before === null) return null;
  if (header.number !== before.frame + 1) {
    return `it holds frame ${header.number}, expected ${before.frame + 1}`;
  }
  if (header.previous === before.checksum) return null;
  return `frame ${header.number} does not continue the frame before it`;
}

/** A hint for people: the lock itself is not touched. */
function processIn(directory: string, names: readonly string[]): number | null {
  if (!names.includes(LOCK_FILE)) return null;
  const pid = Number(readFileSync(join(directory, LOCK_FILE), 'utf8').trim());
  if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return null;
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? pid : null;
  }
}
