/**
 * Frames that are staged but not yet on disk: bytes of one segment, contiguous in the file, in a
 * few large slabs, so that a flush is one system call whatever the number of frames. Bodies are
 * copied in: the caller may reuse his buffers, and a copy costs a fifth of the checksum.
 */
import { assert } from '../values/assert.ts';

const SLAB_BYTES = 1024 * 1024;
const POOL_SLABS_MAX = 8;

interface Slab {
  readonly buffer: Buffer;
  /** Offset in the segment of the slab's first byte. */
  readonly start: number;
  used: number;
}

/** What one flush writes; `lastFrame` is the number of its last frame. */
export interface Group {
  readonly segment: number;
  readonly start: number;
  readonly slabs: Slab[];
  bytes: number;
  lastFrame: number;
}

export class Staging {
  readonly #groups: Group[] = [];
  readonly #pool: Buffer[] = [];
  #isFirstTaken = false;
  #bytes = 0;

  /** Bytes staged, those in flight included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Room for `bytes` at `offset` of `segment`, as part of the frame with this number. */
  allocate(segment: number, offset: number, bytes: number, frame: number): [Buffer, number] {
    const group = this.#groupFor(segment, offset);
    assert(group.start + group.bytes === offset, 'staged bytes are contiguous');
    let slab = group.slabs.at(-1);
    if (slab === undefined || slab.used + bytes > slab.buffer.length) {
      slab = { buffer: this.#takeBuffer(bytes), start: offset, used: 0 };
      group.slabs.push(slab);
    }
    const at = slab.used;
    slab.used += bytes;
    group.bytes += bytes;
    group.lastFrame = frame;
    this.#bytes += bytes;
    return [slab.buffer, at];
  }

  /** The oldest group; from now on nothing is added to it. */
  take(): Group | undefined {
    const group = this.#groups[0];
    this.#isFirstTaken = group !== undefined;
    return group;
  }

  /** The group taken last is on disk. */
  drop(): void {
    const group = this.#groups.shift();
    assert(group !== undefined && this.#isFirstTaken, 'only a taken group is dropped');
    this.#isFirstTaken = false;
    this.#bytes -= group.bytes;
    for (const { buffer } of group.slabs) {
      if (buffer.length === SLAB_BYTES && this.#pool.length < POOL_SLABS_MAX) {
        this.#pool.push(buffer);
      }
    }
  }

  /** A copy of staged bytes; undefined when they are not, or no longer, staged. */
  copy(segment: number, offset: number, bytes: number): Buffer | undefined {
    for (const group of this.#groups) {
      if (group.segment !== segment || offset < group.start) continue;
      for (const { buffer, start, used } of group.slabs) {
        if (offset < start || offset + bytes > start + used) continue;
        return Buffer.from(buffer.subarray(offset - start, offset - start + bytes));
      }
    }
    return undefined;
  }

  #groupFor(segment: number, offset: number): Group {
    const last = this.#groups.at(-1);
    const isTaken = this.#isFirstTaken && this.#groups.length === 1;
    if (last?.segment === segment && !isTaken) return last;
    const group: Group = { segment, start: offset, slabs: [], bytes: 0, lastFrame: 0 };
    this.#groups.push(group);
    return group;
  }

  #takeBuffer(bytes: number): Buffer {
    if (bytes > SLAB_BYTES) return Buffer.allocUnsafeSlow(bytes);
    return this.#pool.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }
}

/** The group's bytes that follow after `written` of them. */
export function remainderOf(group: Group, written: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let skip = written;
  for (const { buffer, used } of group.slabs) {
    if (skip < used) parts.push(buffer.subarray(skip, used));
    skip = Math.max(0, skip - used);
  }
  return parts;
}
