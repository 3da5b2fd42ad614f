/** A journal instance of three regions as the sidecar's journal: libs/client behind journal-port.ts. */
import { OFFSET_END, connectJournal } from '../../libs/client/client.ts';
import type {
  Follow,
  Journal,
  ReadGap,
  StreamDescription,
  Writer,
} from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Security } from '../../libs/security/security.ts';
import type { SidecarConfig } from './config.ts';
import { itemsOf } from './delivered.ts';
import type {
  ApplyJournal,
  Feed,
  FeedHandler,
  FeedItem,
  ShipJournal,
  Lease,
  ShipWriter,
  StreamTail,
} from './journal-port.ts';
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';

/**
 * An append waits for the journal as long as it takes: giving up would only mean sending the same
 * again, and COMMIT is waiting for it. What ends it is a fence, or the end of the attempt.
 */
const APPEND_DEADLINE_MS = 30 * 24 * 3_600_000;

export class InstanceJournal implements ShipJournal, ApplyJournal {
  readonly #journal: Journal;
  readonly #stream: string;
  readonly #heartbeatTimeoutMs: number;

  constructor(config: SidecarConfig, security: Security | null) {
    const { cluster, region, instance, stream } = config;
    const near = instance.replicas.some((replica) => replica.region === region);
    this.#journal = connectJournal({
      cluster,
      instance: instance.name,
      replicas: instance.replicas,
      ...(near ? { region } : {}),
      ...(security === null ? {} : { security: { tls: security.credentials } }),
    });
    this.#stream = stream;
    this.#heartbeatTimeoutMs = config.timings.heartbeatTimeoutMs;
  }

  async requireFencing(): Promise<void> {
    const fencing = 'required';
    // Asked first: where the stream was made for it, it needs no right to make or configure streams.
    const before = await describe(this.#journal, this.#stream);
    if (before === null && (await this.#journal.createStream(this.#stream, { fencing }))) return;
    if (before?.config.fencing === fencing) return;
    await this.#journal.configureStream(this.#stream, { fencing });
  }

  acquireLease(holder: string, ttlMs: number): Promise<Lease> {
    return this.#journal.acquireLease(this.#stream, { holder, ttlMs });
  }

  renewLease(lease: Lease, ttlMs: number): Promise<Lease> {
    return this.#journal.renewLease(this.#stream, lease, { ttlMs });
  }

  async releaseLease(lease: Lease): Promise<void> {
    await this.#journal.releaseLease(this.#stream, lease);
  }

  async leaseHolder(): Promise<Lease | null> {
    return (await describe(this.#journal, this.#stream))?.lease ?? null;
  }

  async tail(count: number): Promise<StreamTail> {
    const description = await describe(this.#journal, this.#stream);
    const { nextSeqNum, firstSeqNum } = description ?? { nextSeqNum: 0, firstSeqNum: 0 };
    const batches: Uint8Array[][] = [];
    const begin = Math.max(firstSeqNum, nextSeqNum - count);
    if (begin === nextSeqNum) return { batches, complete: firstSeqNum === 0 };
    const from = { seqNum: begin };
    for await (const item of this.#journal.read({ stream: this.#stream, from, follow: true })) {
      if (item.type === 'gap') refuseGap(item); // the one that tells where the stream stands may be in it
      if (item.type !== 'batches') continue;
      for (const { firstSeqNum: first, records } of item.batches) {
        if (first < begin) continue; // it may be cut
        batches.push(records.map(({ body }) => Uint8Array.from(body)));
      }
      const last = item.batches.at(-1);
      if (last !== undefined && last.firstSeqNum + last.records.length >= nextSeqNum) break;
    }
    return { batches, complete: begin === 0 };
  }

  openWriter(id: string, token: number): ShipWriter {
    const writer = this.#journal.writer({ id, epoch: 1, ack: 'ORDERED' });
    return new FencedWriter(writer, this.#stream, token);
  }

  async appendPart(records: readonly Uint8Array[], token: number): Promise<void> {
    const bodies = records.map((body) => ({ body }));
    await this.#journal.append(this.#stream, bodies, {
      ack: 'ORDERED',
      fencingToken: token,
      deadlineMs: APPEND_DEADLINE_MS,
    });
  }

  follow(after: JournalPosition | null, handler: FeedHandler): Feed {
    return new InstanceFeed(this.#journal, this.#stream, after, handler);
  }

  async heartbeat(): Promise<number> {
    const { readPoint } = await this.#journal.heartbeat({ deadlineMs: this.#heartbeatTimeoutMs });
    return readPoint;
  }

  async close(): Promise<void> {
    await this.#journal.close({ drainMs: 0 });
  }
}

class FencedWriter implements ShipWriter {
  readonly #writer: Writer;
  readonly #stream: string;
  readonly #token: number;

  constructor(writer: Writer, stream: string, token: number) {
    this.#writer = writer;
    this.#stream = stream;
    this.#token = token;
  }

  async append(records: readonly Uint8Array[], seq: number): Promise<void> {
    const bodies = records.map((body) => ({ body }));
    await this.#writer.append(this.#stream, bodies, {
      ...{ seq, fencingToken: this.#token },
      deadlineMs: APPEND_DEADLINE_MS,
    });
  }

  close(): void {
    this.#writer.close();
  }
}

class InstanceFeed implements Feed {
  readonly #handler: FeedHandler;
  #follow: Follow | null = null;
  #paused = false;
  #over = false;

  constructor(
    journal: Journal,
    stream: string,
    after: JournalPosition | null,
    handler: FeedHandler,
  ) {
    this.#handler = handler;
    // Made here when nobody has shipped yet: a stream that does not exist cannot be followed.
    this.#open(journal, stream, after).catch((error: unknown) => {
      this.#end(error);
    });
  }

  pause(): void {
    this.#paused = true;
    this.#follow?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#follow?.resume();
  }

  cancel(): void {
    this.#over = true;
    this.#follow?.cancel();
  }

  async #open(journal: Journal, stream: string, after: JournalPosition | null): Promise<void> {
    if ((await describe(journal, stream)) === null) await journal.createStream(stream);
    if (!this.#over) this.#start(journal, stream, after);
  }

  #start(journal: Journal, stream: string, after: JournalPosition | null): void {
    const { timestamp, recordOffset } = after ?? { timestamp: 0, recordOffset: 0 };
    const from = after === null ? 'start' : { after: { timestamp, recordOffset } };
    this.#follow = journal.follow(
      { stream, from, follow: true },
      {
        onBatches: (frames) => {
          this.#guarded(() => itemsOf(frames, stream, after, null));
        },
        onProgress: ({ watermark, stalled }) => {
          if (!stalled) this.#guarded(() => [progress(watermark)]);
        },
        onGap: (gap) => {
          this.#guarded(() => {
            refuseGap(gap);
            return [];
          });
        },
        onEnd: (error) => {
          this.#end(error ?? new MeridianError('UNAVAILABLE', 'the read ended'));
        },
      },
    );
    if (this.#paused) this.#follow.pause();
  }

  #guarded(items: () => FeedItem[]): void {
    if (this.#over) return;
    try {
      this.#handler.onItems(items());
    } catch (error) {
      this.#end(error);
    }
  }

  #end(error: unknown): void {
    if (this.#over) return;
    this.cancel();
    this.#handler.onEnd(error instanceof Error ? error : new Error(String(error)));
  }
}

/** null: there is no such stream yet. */
async function describe(journal: Journal, stream: string): Promise<StreamDescription | null> {
  try {
    return await journal.describeStream(stream);
  } catch (error) {
    if (error instanceof MeridianError && error.reason === 'STREAM_NOT_FOUND') return null;
    throw error;
  }
}

/** What was filtered out was not asked for; anything else is missing, and never skipped. */
function refuseGap({ kind, from, to }: ReadGap): void {
  if (kind === 'filtered') return;
  throw new MeridianError(
    'OUT_OF_RANGE',
    `records of the stream from ${from.timestamp} to ${to.timestamp} are ${kind}: what they said cannot be ` +
      'made up for; copy this replica anew, or ship into another stream',
    { details: { kind, from: from.timestamp, to: to.timestamp } },
  );
}

function progress(watermark: number): FeedItem {
  const position = { instance: 0, timestamp: watermark, recordOffset: OFFSET_END, cursor: null };
  return { kind: 'progress', watermark, position };
}
