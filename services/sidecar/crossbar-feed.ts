/**
 * The merged order of a crossbar as the sidecar's journal: subscription with a cursor, read points
 * over all instances. Several crossbars may be given; the nearest that answers is used, and any of
 * them understands the cursor.
 */
import { OFFSET_END } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { SubscribeResponse } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { at } from '../../libs/values/assert.ts';
import type { SidecarConfig } from './config.ts';
import { itemsOf } from './delivered.ts';
import type { ApplyJournal, Feed, FeedHandler, FeedItem } from './journal-port.ts';

/** A crossbar sends progress several times a second; this long without a word, it is not there. */
const SILENCE_MS = 5_000;
const INSTANCE_END = 65_535;

export class CrossbarFeed implements ApplyJournal {
  readonly #cluster: string;
  readonly #stream: string;
  readonly #channels: readonly Channel[];
  readonly #timeoutMs: number;
  /** Index of the crossbar in use; moves on when it fails. */
  #current = 0;

  constructor(config: SidecarConfig) {
    this.#cluster = config.cluster;
    this.#stream = config.stream;
    this.#channels = config.apply.crossbars.map((address) => connect(address));
    this.#timeoutMs = config.timings.heartbeatTimeoutMs;
  }

  follow(after: JournalPosition | null, handler: FeedHandler): Feed {
    const stream = this.#stream;
    const mine = this.#current;
    let cursor: Uint8Array | null = after?.cursor ?? null;
    if (after !== null && cursor === null) {
      throw new MeridianError(
        'REFUSED',
        'the stored position comes from a journal read directly and cannot be continued at a crossbar',
      );
    }
    let heard = Date.now();
    let paused = false;
    let over = false;
    const end = (error: Error): void => {
      if (over) return;
      over = true;
      clearInterval(timer);
      subscription.cancel();
      if (this.#current === mine) this.#moveOn();
      handler.onEnd(error);
    };
    const subscription = at(this.#channels, mine).serverStream(
      CrossbarService.method.subscribe,
      { cluster: this.#cluster, cursor: cursor ?? new Uint8Array(), streams: [stream] },
      {
        onMessage: (message) => {
          heard = Date.now();
          if (over) return;
          try {
            const items = itemsOfMessage(message, stream, after, cursor);
            cursor = cursorOf(message) ?? cursor;
            if (items.length > 0) handler.onItems(items);
          } catch (error) {
            end(error instanceof Error ? error : new Error(String(error)));
          }
        },
        onEnd: (error) => {
          end(error ?? new MeridianError('UNAVAILABLE', 'the crossbar ended the subscription'));
        },
      },
    );
    const timer = setInterval(() => {
      const silence = Date.now() - heard;
      if (paused || silence < SILENCE_MS) return;
      end(new MeridianError('UNAVAILABLE', `no word from the crossbar for ${silence} ms`));
    }, SILENCE_MS / 5);
    return {
      pause: () => {
        paused = true;
        subscription.pause();
      },
      resume: () => {
        paused = false;
        heard = Date.now();
        subscription.resume();
      },
      cancel: () => {
        over = true;
        clearInterval(timer);
        subscription.cancel();
      },
    };
  }

  async heartbeat(): Promise<number> {
    const mine = this.#current;
    try {
      const { readPoint } = await at(this.#channels, mine).unary(
        CrossbarService.method.heartbeat,
        { cluster: this.#cluster },
        { deadlineMs: this.#timeoutMs },
      );
      return Number(readPoint);
    } catch (error) {
      // Asked elsewhere at once: a read waits for it.
      if (this.#channels.length === 1) throw error;
      const other = at(this.#channels, (mine + 1) % this.#channels.length);
      const { readPoint } = await other.unary(
        CrossbarService.method.heartbeat,
        { cluster: this.#cluster },
        { deadlineMs: this.#timeoutMs },
      );
      return Number(readPoint);
    }
  }

  close(): void {
    for (const channel of this.#channels) channel.close();
  }

  #moveOn(): void {
    this.#current = (this.#current + 1) % this.#channels.length;
  }
}

/**
 * A message's cursor is true after all of its batches. One of them applied alone is stored with the
 * cursor from before the message, and its own position tells what to leave out when it comes again.
 */
function itemsOfMessage(
  { message }: SubscribeResponse,
  stream: string,
  after: JournalPosition | null,
  before: Uint8Array | null,
): FeedItem[] {
  switch (message.case) {
    case 'batches': {
      const items = itemsOf(message.value.frames, stream, after, before);
      const last = items.at(-1);
      if (last?.kind !== 'batch') return items;
      const { cursor } = message.value;
      items[items.length - 1] = { ...last, position: { ...last.position, cursor } };
      return items;
    }
    case 'progress': {
      const watermark = Number(message.value.watermark);
      const place = { instance: INSTANCE_END, timestamp: watermark, recordOffset: OFFSET_END };
      const position = { ...place, cursor: message.value.cursor };
      return [{ kind: 'progress', watermark, position }];
    }
    case 'gap': {
      const { instance, toTimestamp } = message.value;
      const text = `records of instance ${instance} up to ${toTimestamp} are gone: copy this replica anew`;
      throw new MeridianError('OUT_OF_RANGE', text);
    }
    case undefined:
      return [];
  }
}

function cursorOf({ message }: SubscribeResponse): Uint8Array | null {
  return message.case === undefined ? null : message.value.cursor;
}
