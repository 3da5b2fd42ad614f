/**
 * The merged order of the crossbars as the sidecar's journal: subscription with a cursor, read points over
 * all instances. Which crossbar serves, and how to go on at another, is the business of libs/applier.
 */
import { Crossbars } from '../../libs/applier/crossbars.ts';
import { OFFSET_END } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';
import type { Security } from '../../libs/security/security.ts';
import type { SidecarConfig } from './config.ts';
import { itemsOf } from './delivered.ts';
import type { DeliveredBatch } from './delivered.ts';
import type { ApplyJournal, Feed, FeedHandler, FeedItem } from './journal-port.ts';

const INSTANCE_END = 65_535;

export class CrossbarFeed implements ApplyJournal {
  readonly #stream: string;
  readonly #crossbars: Crossbars;
  readonly #timeoutMs: number;

  constructor(config: SidecarConfig, security: Security | null) {
    this.#stream = config.stream;
    this.#crossbars = new Crossbars({
      cluster: config.cluster,
      crossbars: config.apply.crossbars,
      security: security === null ? undefined : { tls: security.credentials },
    });
    this.#timeoutMs = config.timings.heartbeatTimeoutMs;
  }

  follow(after: JournalPosition | null, handler: FeedHandler): Feed {
    const stream = this.#stream;
    let before: Uint8Array | null = after?.cursor ?? null;
    if (after !== null && before === null) {
      throw new MeridianError(
        'REFUSED',
        'the stored position comes from a journal read directly and cannot be continued at a crossbar',
      );
    }
    const end = (error: unknown): void => {
      subscription.cancel();
      handler.onEnd(error instanceof Error ? error : new Error(String(error)));
    };
    const give = (items: () => FeedItem[]): void => {
      try {
        const made = items();
        if (made.length > 0) handler.onItems(made);
      } catch (error) {
        end(error);
      }
    };
    const wish = { after: before, streams: [stream], keys: [] };
    const subscription = this.#crossbars.subscribe(wish, {
      onBatches: (frames, cursor) => {
        give(() => withCursor(itemsOf(frames, stream, after, before), cursor));
        before = cursor;
      },
      onProgress: (watermark, cursor) => {
        before = cursor;
        const place = { instance: INSTANCE_END, timestamp: watermark, recordOffset: OFFSET_END };
        give(() => [{ kind: 'progress', watermark, position: { ...place, cursor } }]);
      },
      onGap: ({ kind, instance, to }) => {
        const message = `records of instance ${instance} up to ${to} are ${kind}: copy this replica anew`;
        end(new MeridianError('OUT_OF_RANGE', message));
      },
      onEnd: (error) => {
        handler.onEnd(error);
      },
    });
    return subscription;
  }

  heartbeat(): Promise<number> {
    return this.#crossbars.readPoint(this.#timeoutMs);
  }

  close(): void {
    this.#crossbars.close();
  }
}

/**
 * A message's cursor is true after all of its batches. One of them applied alone is stored with the
 * cursor from before the message, and its own position tells what to leave out when it comes again.
 */
function withCursor(items: DeliveredBatch[], cursor: Uint8Array): FeedItem[] {
  const last = items.at(-1);
  if (last !== undefined) items[items.length - 1] = last.withCursor(cursor);
  return items;
}
