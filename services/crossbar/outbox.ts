/**
 * What one subscriber is sent: filters entries, packs them into messages, attaches cursors, and
 * counts what its connection has not taken yet. Owns the bound on that; does not know where entries
 * come from.
 */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import {
  Gap_Kind,
  SubscribeResponseSchema,
} from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { SubscribeResponse } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { Filter } from './filter.ts';
import type { MergedEntry, MergedGap } from './merged-entry.ts';
import { comparePositions } from './position.ts';
import type { Position, Positions } from './position.ts';
import type { Run } from './window.ts';

/** The subscriber's end of the call: the part of libs/rpc's ServerStream that is needed. */
export interface ResponseStream {
  /** `sent` is called when the message has left this process, or never will. */
  write(message: SubscribeResponse, sent: () => void): boolean;
  onClose(callback: () => void): void;
  fail(error: unknown): void;
}

/** The bound on what waits for subscribers; owned by whoever owns all of them. */
export interface Room {
  /** What may wait for one of them; a single entry always may. */
  readonly shareBytes: number;
  /** What does, for all of them. */
  heldBytes: number;
}

type Part = NonNullable<MessageInitShape<typeof SubscribeResponseSchema>['message']>;

/** Messages are no larger, and no larger than half of what may wait. */
const MESSAGE_BYTES = 256 * 1024;
/** What a message of mere words counts. */
const SMALL_BYTES = 64;

export interface OutboxOptions {
  readonly stream: ResponseStream;
  readonly positions: Positions;
  /** null: everything is wanted. */
  readonly filter: Filter | null;
  readonly after: Position;
  /** The subscriber's own, which says `after`; empty: it has none. */
  readonly cursor: Uint8Array;
  readonly room: Room;
  readonly now: () => number;
  /** There is room again after `full`. */
  readonly onRoom: () => void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  #frames: Uint8Array[] = [];
  #bytes = 0;
  #position: Position;
  #watermark: number;
  #heldBytes = 0;
  /** Since when nothing of what waits has been taken, ms. */
  #waitingSince = Infinity;
  #awaited = false;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#position = options.after;
    this.#watermark = options.positions.watermarkAt(options.after);
  }

  /** true: nothing should be added until `onRoom`, which is called because somebody has looked here. */
  get full(): boolean {
    if (this.#heldBytes < this.#options.room.shareBytes) return false;
    this.#awaited = true;
    return true;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** How long the connection has left what waits for it untouched, ms. */
  get untouchedMs(): number {
    return Math.max(0, this.#options.now() - this.#waitingSince);
  }

  /** Everything at or before it has been added, or does not pass the filter. */
  get position(): Position {
    return this.#position;
  }

  /** The last progress. */
  get watermark(): number {
    return this.#watermark;
  }

  /** About how many bytes a message should have. */
  get messageBytes(): number {
    return Math.min(MESSAGE_BYTES, this.#options.room.shareBytes / 2);
  }

  /** Ignores what the subscriber has seen: its cursor may be ahead of the window's end. */
  add(entry: MergedEntry): void {
    if (comparePositions(entry, this.#position) <= 0) return;
    if (entry.gap !== null) this.#gap(entry.gap);
    if (entry.frames.length > 0) {
      const { filter } = this.#options;
      if (filter === null) this.#push(entry.frames);
      else for (const frames of filter.select(entry.frames)) this.#push(frames);
    }
    this.#position = { timestamp: entry.timestamp, instance: entry.instance };
    if (this.#bytes >= this.messageBytes) this.flush();
  }

  /** The same for neighbours in the order that are packed already; false: they must come singly. */
  addRun({ frames, first, last }: Run): boolean {
    if (this.#options.filter !== null || comparePositions(first, this.#position) <= 0) return false;
    this.flush();
    this.#push(frames);
    this.#position = last;
    this.flush();
    return true;
  }

  /** Sends what was added; true: there is room for more. */
  flush(): boolean {
    if (this.#bytes === 0) return !this.full;
    const [only] = this.#frames;
    const frames =
      this.#frames.length === 1 && only !== undefined ? only : Buffer.concat(this.#frames);
    this.#frames = [];
    this.#bytes = 0;
    this.#write({ case: 'batches', value: { frames, cursor: this.#cursor() } }, frames.length);
    return !this.full;
  }

  /** Everything up to the watermark has been added. Says nothing new: not sent, unless it is a stall. */
  progress(watermark: number, stalledBy: readonly string[]): void {
    this.flush();
    if (watermark > this.#watermark) {
      this.#watermark = watermark;
      // Later entries may have been added since the watermark was reached.
      const reached = this.#options.positions.atWatermark(watermark);
      if (comparePositions(reached, this.#position) > 0) this.#position = reached;
    } else if (stalledBy.length === 0) return;
    const value = { watermark: BigInt(this.#watermark), stalledBy: [...stalledBy] };
    this.#write({ case: 'progress', value: { ...value, cursor: this.#cursor() } }, SMALL_BYTES);
  }

  /** Why a subscriber that takes nothing is cut off: with the place to resume from. */
  slowReader(): MeridianError {
    this.flush();
    const cursor = Buffer.from(this.#cursor()).toString('base64url');
    const message = `nothing was taken for ${Math.round(this.untouchedMs)} ms; resume from the cursor`;
    return new MeridianError('SLOW_READER', message, { details: { cursor } });
  }

  /** The call is over: nothing waits any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.room.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
    this.#waitingSince = Infinity;
  }

  /**
   * Before the first step it is the subscriber's own: the place may be ahead of what is known here, and then
   * others would be named as the members there.
   */
  #cursor(): Uint8Array {
    const { positions, after, cursor } = this.#options;
    if (this.#position === after && cursor.length > 0) return cursor;
    return positions.toCursor(this.#position);
  }

  #push(frames: Uint8Array): void {
    this.#frames.push(frames);
    this.#bytes += frames.length;
  }

  #gap({ kind, name, from, to }: MergedGap): void {
    this.flush();
    const value = {
      kind: kind === 'trimmed' ? Gap_Kind.TRIMMED : Gap_Kind.LOST,
      instance: name,
      fromTimestamp: BigInt(from),
      toTimestamp: BigInt(to),
      cursor: this.#cursor(),
    };
    this.#write({ case: 'gap', value }, SMALL_BYTES);
  }

  #write(message: Part, bytes: number): void {
    if (this.#closed) return;
    if (this.#heldBytes === 0) this.#waitingSince = this.#options.now();
    this.#heldBytes += bytes;
    this.#options.room.heldBytes += bytes;
    this.#options.stream.write(create(SubscribeResponseSchema, { message }), () => {
      this.#taken(bytes);
    });
  }

  #taken(bytes: number): void {
    if (this.#closed) return;
    this.#heldBytes -= bytes;
    this.#options.room.heldBytes -= bytes;
    this.#waitingSince = this.#heldBytes === 0 ? Infinity : this.#options.now();
    // The share may have changed in the meantime, so what was full then says nothing.
    if (!this.#awaited || this.full) return;
    this.#awaited = false;
    this.#options.onRoom();
  }
}
