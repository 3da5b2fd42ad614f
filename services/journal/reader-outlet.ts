/**
 * The way out of one read: what was written and not yet taken by the client, counted in the bound over all
 * reads, and since when nothing was taken.
 */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { ReadResponseSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { ReadResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { ServerStream } from '../../libs/rpc/rpc.ts';
import type { Micros } from '../../libs/values/numbers.ts';
import type { Room } from './reader-context.ts';

/** What a message of mere words counts in the bound. */
export const SMALL_BYTES = 64;

export class Outlet {
  readonly #stream: ServerStream<ReadResponse>;
  readonly #room: Room;
  readonly #now: () => Micros;
  #heldBytes = 0;
  #closed = false;
  /** Since when nothing of what waits has been taken. */
  waitingSince = Infinity;
  /** Told when there is room again. */
  onRoom: () => void = () => undefined;

  constructor(stream: ServerStream<ReadResponse>, room: Room, now: () => Micros) {
    this.#stream = stream;
    this.#room = room;
    this.#now = now;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get hasRoom(): boolean {
    return this.#heldBytes < this.#room.shareBytes;
  }

  /** The call is over: nothing waits any more. */
  close(): void {
    this.#room.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
    this.#closed = true;
  }

  write(
    message: MessageInitShape<typeof ReadResponseSchema>['message'] & object,
    bytes: number,
    now: Micros,
  ): void {
    this.writeMessage(create(ReadResponseSchema, { message }), bytes, now);
  }

  writeMessage(message: ReadResponse, bytes: number, now: Micros): void {
    if (this.#heldBytes === 0) this.waitingSince = now;
    this.#heldBytes += bytes;
    this.#room.heldBytes += bytes;
    this.#stream.write(message, () => {
      this.#taken(bytes);
    });
  }

  #taken(bytes: number): void {
    if (this.#closed) return;
    const { shareBytes } = this.#room;
    const wasFull = this.#heldBytes >= shareBytes;
    this.#heldBytes -= bytes;
    this.#room.heldBytes -= bytes;
    this.waitingSince = this.#heldBytes === 0 ? Infinity : this.#now();
    if (wasFull && this.#heldBytes < shareBytes) this.onRoom();
  }
}

export function slowReader(micros: number, timestamp: number, recordOffset: number): MeridianError {
  return new MeridianError(
    'SLOW_READER',
    `nothing was taken for ${Math.round(micros / 1000)} ms; resume after ${timestamp}/${recordOffset}`,
    { details: { timestamp, recordOffset } },
  );
}
