/**
 * Makes a damaged closed segment whole again: finds the stretches that are not what was written, puts
 * frames with the given bodies there, writes the segment anew beside the old one and renames it over.
 * The chain of checksums goes on as it was: of a lost frame's fields only `unsynced` is known to nobody, and
 * there is exactly one value of it with which the frame gets the checksum that its successor names,
 * so a frame that was damaged alone comes back to the last bit.
 *
 * What a body was is the caller's business. Frames he does not know are void afterwards: they keep
 * their place and their number, and no replay shows them.
 */
import { join } from 'node:path';
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import type { Place } from './checkpoint.ts';
import { crcBefore } from './crc.ts';
import {
  CLOSE_FRAME,
  FRAME_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  findFrame,
  readFrameHeader,
  readSegmentHeader,
  repairName,
  segmentName,
  tagOf,
  writeFrameHeader,
  writeSegmentHeader,
} from './format.ts';
import type { SegmentHeader } from './format.ts';
import { corrupt } from './recovery.ts';
import { headerOf } from './scrub.ts';

/** A body that belongs at `offset` of the segment. */
export interface KnownBody {
  readonly offset: number;
  readonly type: number;
  readonly body: Uint8Array;
}

/** Bytes that are not what was written, and what the frames around them say. */
export interface Damage {
  readonly from: number;
  readonly to: number;
  /** Of the last whole frame before. */
  readonly before: { readonly frame: number; readonly checksum: number };
  /** Of the first whole frame after. */
  readonly after: { readonly frame: number; readonly previous: number };
}

interface Slot {
  readonly from: number;
  readonly to: number;
  readonly known: KnownBody | null;
}

const WRITE_BYTES = 1024 * 1024;

/** The whole segment, and what is damaged in it; the header is put right at once. Throws CORRUPT. */
export function examine(place: Place, segment: number): { bytes: Buffer; damages: Damage[] } {
  const { files, directory, digest } = place;
  const path = join(directory, segmentName(segment));
  const next = headerOf(place, segment + 1);
  const file = files.open(path, 'read');
  let bytes: Buffer;
  try {
    bytes = Buffer.allocUnsafe(files.size(file));
    bytes = bytes.subarray(0, files.read(file, bytes, 0));
  } finally {
    files.close(file);
  }
  if (bytes.length < SEGMENT_HEADER_BYTES) throw corrupt(path, 0, 'it is not there any more');
  const tag = tagOf(digest, segment);
  mendHeader(bytes, segment, digest, tag);
  return { bytes, damages: damagesOf(bytes, tag, path, digest, next) };
}

function damagesOf(
  bytes: Buffer,
  tag: number,
  path: string,
  digest: Uint8Array,
  next: SegmentHeader | null,
): Damage[] {
  const head = readSegmentHeader(bytes, digest);
  if (head.kind !== 'valid') throw corrupt(path, 0, 'no frame says how it begins');
  let before = { frame: head.header.firstFrame - 1, checksum: head.header.previous };
  const damages: Damage[] = [];
  for (let offset = SEGMENT_HEADER_BYTES; ;) {
    const frame = offset < bytes.length ? readFrameHeader(bytes, offset, tag) : undefined;
    const isNext = frame?.number === before.frame + 1 && frame.previous === before.checksum;
    if (frame !== undefined && isNext && frame.offset === offset) {
      before = { frame: frame.number, checksum: frame.checksum };
      offset += FRAME_HEADER_BYTES + frame.bodyBytes;
      continue;
    }
    const isEnd = offset >= bytes.length;
    if (isEnd && (next === null || isNextSegment(next, before))) break;
    const at = isEnd ? -1 : nextFrame(bytes, offset + 1, tag);
    const to = at < 0 ? bytes.length : at;
    const found = at < 0 ? undefined : readFrameHeader(bytes, at, tag);
    const after = found === undefined ? startOf(next) : { ...found, frame: found.number };
    if (after === null) {
      const what =
        'the header of the segment after it is damaged too, and has to be repaired first';
      throw new MeridianError('UNAVAILABLE', `${path} cannot be repaired: ${what}`);
    }
    if (to <= offset || after.frame <= before.frame + 1) {
      const what = isEnd ? 'is missing, and all after it' : 'was replaced by another one';
      throw corrupt(path, offset, `frame ${before.frame + 1} ${what}`);
    }
    const { frame: number, previous } = after;
    damages.push({ from: offset, to, before, after: { frame: number, previous } });
    before = { frame: number - 1, checksum: previous };
    offset = to;
  }
  return damages;
}

function isNextSegment(next: SegmentHeader, before: Damage['before']): boolean {
  return next.firstFrame === before.frame + 1 && next.previous === before.checksum;
}

function startOf(next: SegmentHeader | null): Damage['after'] | null {
  return next === null ? null : { frame: next.firstFrame, previous: next.previous };
}

/** The next whole frame that lies where it says. */
function nextFrame(bytes: Buffer, from: number, tag: number): number {
  for (let at = findFrame(bytes, from, tag); at >= 0; at = findFrame(bytes, at + 1, tag)) {
    if (readFrameHeader(bytes, at, tag)?.offset === at) return at;
  }
  return -1;
}

/** Everything in it is known from the name and the first frame. */
function mendHeader(bytes: Buffer, segment: number, digest: Uint8Array, tag: number): void {
  const found = readSegmentHeader(bytes, digest);
  if (found.kind === 'valid' && found.header.segment === segment) return;
  const first = readFrameHeader(bytes, SEGMENT_HEADER_BYTES, tag);
  if (first?.offset !== SEGMENT_HEADER_BYTES) return;
  const { number, previous } = first;
  writeSegmentHeader(bytes, 0, digest, { segment, previous, firstFrame: number });
}

/** Puts frames into the damaged stretch; returns how many are void. Throws CORRUPT when they do not fit. */
export function fill(
  bytes: Buffer,
  place: Place,
  segment: number,
  damage: Damage,
  known: readonly KnownBody[],
): number {
  const path = join(place.directory, segmentName(segment));
  const tag = tagOf(place.digest, segment);
  const slots = slotsOf(damage, known);
  const count = damage.after.frame - damage.before.frame - 1;
  const frames = slots === null ? null : divide(slots, count);
  if (frames === null) {
    throw corrupt(
      path,
      damage.from,
      `${count} frames are damaged, and what they were is not known`,
    );
  }
  let { frame, checksum } = damage.before;
  frames.forEach(({ from, to, known: body }, position) => {
    const start = from + FRAME_HEADER_BYTES;
    if (body === null) bytes.fill(0, start, to);
    else bytes.set(body.body, start);
    frame += 1;
    const [stated, unsynced] = [bytes.readUInt32LE(from + 4), bytes.readUInt32LE(from + 20)];
    const header = {
      bodyBytes: to - start,
      previous: checksum,
      offset: from,
      unsynced,
      number: frame,
      type: body?.type ?? CLOSE_FRAME,
    };
    checksum = writeFrameHeader(bytes, from, tag, header);
    const isLast = position === frames.length - 1;
    // With its own field it is what it was: only the body was damaged.
    if (!isLast && checksum === stated) return;
    const found = isLast ? unsyncedFor(bytes.subarray(from, to), damage.after.previous) : 0;
    checksum = writeFrameHeader(bytes, from, tag, { ...header, unsynced: found });
  });
  assert(checksum === damage.after.previous, 'the chain goes on');
  return frames.filter((slot) => slot.known === null).length;
}

/** Known bodies and the gaps between them; null when they overlap or leave the stretch. */
function slotsOf(damage: Damage, known: readonly KnownBody[]): Slot[] | null {
  const slots: Slot[] = [];
  let at = damage.from;
  for (const body of [...known].sort((one, other) => one.offset - other.offset)) {
    const from = body.offset - FRAME_HEADER_BYTES;
    if (from < at) return null;
    if (from > at) slots.push({ from: at, to: from, known: null });
    at = body.offset + body.body.length;
    slots.push({ from, to: at, known: body });
  }
  if (at > damage.to) return null;
  if (at < damage.to) slots.push({ from: at, to: damage.to, known: null });
  return slots;
}

/** Divides gaps until there are as many frames as there were; null when that cannot be. */
function divide(slots: readonly Slot[], count: number): Slot[] | null {
  let missing = count - slots.length;
  const frames: Slot[] = [];
  for (const slot of slots) {
    if (slot.to - slot.from < FRAME_HEADER_BYTES) return null;
    let { from } = slot;
    for (; slot.known === null && missing > 0; missing -= 1) {
      if (slot.to - from < 2 * FRAME_HEADER_BYTES) break;
      frames.push({ from, to: from + FRAME_HEADER_BYTES, known: null });
      from += FRAME_HEADER_BYTES;
    }
    frames.push({ ...slot, from });
  }
  return missing === 0 ? frames : null;
}

/** The value of the field with which the frame has this checksum. */
function unsyncedFor(frame: Buffer, checksum: number): number {
  const [covered, field] = [8, 20];
  return crcBefore(frame.subarray(covered), field - covered, checksum);
}

/**
 * Writes the segment beside the old one, and renames it over if it is still wanted; `done` when all of it
 * is on disk.
 */
export function replaceSegment(
  { files, directory }: Place,
  segment: number,
  { bytes, isWanted }: { readonly bytes: Buffer; readonly isWanted: () => boolean },
  done: (error: Error | null) => void,
): void {
  const path = join(directory, repairName(segment));
  let file: number | null = null;
  const finish = (error: unknown): void => {
    if (file !== null) files.close(file);
    file = null;
    if (error === null) done(null);
    else done(error instanceof Error ? error : new Error('the segment cannot be replaced'));
  };
  const attempt = (action: () => void): void => {
    try {
      action();
    } catch (error) {
      finish(error);
    }
  };
  const publish = (): void => {
    if (file !== null) files.close(file);
    file = files.open(directory, 'read');
    if (isWanted()) files.rename(path, join(directory, segmentName(segment)));
    else files.remove(path);
    files.syncLater(file, finish);
  };
  const write = (position: number): void => {
    assert(file !== null, 'the file is open');
    const part = bytes.subarray(position, position + WRITE_BYTES);
    files.writeDurably(file, [part], position, (error, written) => {
      attempt(() => {
        if (error !== null) throw error;
        if (written <= 0) throw new Error('nothing was written');
        if (position + written < bytes.length) write(position + written);
        else publish();
      });
    });
  };
  attempt(() => {
    if (files.list(directory)?.includes(repairName(segment)) === true) files.remove(path);
    file = files.open(path, 'durable');
    write(0);
  });
}
