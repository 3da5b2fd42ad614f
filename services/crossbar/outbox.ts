/**
 * What one subscriber is sent: collects the frames of whole entries into messages, knows the position
 * after each, and stops when the connection takes no more. Owns the message bounds; does not know
 * where entries come from.
 */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { SubscribeResponseSchema } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { SubscribeResponse } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { selectFrames } from './merged-entry.ts';
import type { MergedEntry } from './merged-entry.ts';
import { comparePositions } from './position.ts';
import type { Position, Positions } from './position.ts';

/** The subscriber's end of the call: the part of libs/rpc's ServerStream that is needed. */
export interface ResponseStream {
  readonly closed: boolean;
  /** false: stop until `onDrain`. */
  write(message: SubscribeResponse): boolean;
  onDrain(callback: () => void): void;
  onClose(callback: () => void): void;
  fail(error: unknown): void;
}

/** Frames of a message; an entry larger than this is a message of its own. */
const MESSAGE_BYTES = 256 * 1024;

type Part = NonNullable<MessageInitShape<typeof SubscribeResponseSchema>['message']>;

export class Outbox {
  readonly #stream: ResponseStream;
  readonly #positions: Positions;
  readonly #streams: ReadonlySet<string> | null;
  #frames: Uint8Array[] = [];
  #bytes = 0;
  #position: Position;
  #watermark: number;
  #full = false;

  /** `streams`: only these; null for all. `onRoom` is called when a full connection takes more again. */
  constructor(options: {
    readonly stream: ResponseStream;
    readonly positions: Positions;
    readonly streams: ReadonlySet<string> | null;
    readonly after: Position;
    readonly onRoom: () => void;
  }) {
    this.#stream = options.stream;
    this.#positions = options.positions;
    this.#streams = options.streams;
    this.#position = options.after;
    this.#watermark = options.positions.watermarkAt(options.after);
    options.stream.onDrain(() => {
      this.#full = false;
      options.onRoom();
    });
  }

  /** true: nothing should be added until `onRoom`. */
  get full(): boolean {
    return this.#full;
  }

  /** Everything at or before it has been added, or does not pass the filter. */
  get position(): Position {
    return this.#position;
  }

  /** The last progress. */
  get watermark(): number {
    return this.#watermark;
  }

  /** Ignores what the subscriber has seen: its cursor may be ahead of the window's end. */
  add(entry: MergedEntry): void {
    if (comparePositions(entry, this.#position) <= 0) return;
    for (const frame of selectFrames(entry, this.#streams)) {
      this.#frames.push(frame);
      this.#bytes += frame.length;
    }
    this.#position = { timestamp: entry.timestamp, instance: entry.instance };
    if (this.#bytes >= MESSAGE_BYTES) this.flush();
  }

  /** Sends what was added; true: there is room for more. */
  flush(): boolean {
    if (this.#bytes === 0) return !this.#full;
    const [only] = this.#frames;
    const frames =
      this.#frames.length === 1 && only !== undefined ? only : Buffer.concat(this.#frames);
    this.#frames = [];
    this.#bytes = 0;
    const cursor = this.#positions.toCursor(this.#position);
    this.#write({ case: 'batches', value: { frames, cursor } });
    return !this.#full;
  }

  /** Everything up to the watermark has been added. Says nothing new: not sent, unless it is a stall. */
  progress(watermark: number, stalledBy: readonly string[]): void {
    this.flush();
    if (watermark > this.#watermark) {
      this.#watermark = watermark;
      // Later entries may have been added since the watermark was reached.
      const reached = this.#positions.atWatermark(watermark);
      if (comparePositions(reached, this.#position) > 0) this.#position = reached;
    } else if (stalledBy.length === 0) return;
    const cursor = this.#positions.toCursor(this.#position);
    this.#write({
      case: 'progress',
      value: { watermark: BigInt(this.#watermark), cursor, stalledBy: [...stalledBy] },
    });
  }

  #write(message: Part): void {
    const more = this.#stream.write(create(SubscribeResponseSchema, { message }));
    if (!more) this.#full = true;
  }
}
