/**
 * A journal in memory, for tests: one stream, the rules of libs/order/SPEC.md for writers, tokens and
 * leases (their time is the wall clock's), answers that can be held back, and failures on demand,
 * before an append took effect or after.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';
import type {
  ApplyJournal,
  Feed,
  FeedHandler,
  FeedItem,
  Lease,
  ShipJournal,
  ShipWriter,
  StreamTail,
} from './journal-port.ts';

type Batch = Extract<FeedItem, { kind: 'batch' }>;

export class MemoryJournal implements ShipJournal, ApplyJournal {
  readonly batches: Batch[] = [];
  /** Last sequence of each. */
  readonly writers = new Map<string, number>();
  /** Asked at every append; `before`: it fails without effect, `after`: the answer is lost. */
  failure: () => 'before' | 'after' | null = () => null;
  /** Called with the number of each append that took effect. */
  onAppend: (count: number) => void = () => undefined;
  #timestamp = 1_000;
  #token = 0;
  #lease: Lease | null = null;
  #held: (() => void)[] | null = null;
  readonly #followers = new Set<Follower>();

  /** From now on appends take effect but are not answered. */
  hold(): void {
    this.#held ??= [];
  }

  /** Answers what was held back, and what comes. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const answer of held) answer();
  }

  get heldCount(): number {
    return this.#held?.length ?? 0;
  }

  requireFencing(): Promise<void> {
    return Promise.resolve();
  }

  acquireLease(holder: string, ttlMs: number): Promise<Lease> {
    const now = Date.now() * 1000;
    const held = this.#lease;
    if (held !== null && held.holder !== holder && held.expiresAt > now) {
      return Promise.reject(new MeridianError('LEASE_HELD', `${held.holder} holds it`));
    }
    this.#token += 1;
    this.#lease = { holder, token: this.#token, expiresAt: now + ttlMs * 1000 };
    return Promise.resolve(this.#lease);
  }

  renewLease(lease: Lease, ttlMs: number): Promise<Lease> {
    if (this.#lease === null || lease.token !== this.#token) {
      return Promise.reject(new MeridianError('LEASE_LOST', 'there was a later grant'));
    }
    this.#lease = { ...lease, expiresAt: (Date.now() + ttlMs) * 1000 };
    return Promise.resolve(this.#lease);
  }

  releaseLease(lease: Lease): Promise<void> {
    if (this.#lease?.token === lease.token) this.#lease = null;
    return Promise.resolve();
  }

  leaseHolder(): Promise<Lease | null> {
    return Promise.resolve(this.#lease);
  }

  tail(count: number): Promise<StreamTail> {
    const batches = this.batches.slice(-count).map(({ records }) => records);
    return Promise.resolve({ batches, complete: batches.length === this.batches.length });
  }

  openWriter(id: string, token: number): ShipWriter {
    let previous = this.writers.get(id) ?? 0;
    let ended: MeridianError | null = null;
    return {
      append: async (records, seq) => {
        const link = { id, seq, previous };
        previous = seq;
        try {
          if (ended !== null) throw ended;
          await this.#append(records, token, () => {
            this.#decide(link);
          });
        } catch (error) {
          ended ??= error as MeridianError;
          throw error;
        }
      },
      close: () => {
        ended ??= new MeridianError('UNAVAILABLE', 'closed');
      },
    };
  }

  appendPart(records: readonly Uint8Array[], token: number): Promise<void> {
    return this.#append(records, token, () => undefined);
  }

  follow(after: JournalPosition | null, handler: FeedHandler): Feed {
    const from = this.batches.findIndex(
      ({ position }) => position.timestamp > (after?.timestamp ?? 0),
    );
    const follower = new Follower(this, handler, from < 0 ? this.batches.length : from);
    this.#followers.add(follower);
    return follower;
  }

  /** Ends every feed, as a replica that goes down does. */
  breakFeeds(): void {
    for (const follower of this.#followers) follower.break();
    this.#followers.clear();
  }

  heartbeat(): Promise<number> {
    const point = this.#timestamp;
    this.#tick(); // the watermark passes the point without a record
    return Promise.resolve(point);
  }

  get watermark(): number {
    return this.#timestamp;
  }

  async #append(records: readonly Uint8Array[], token: number, decide: () => void): Promise<void> {
    const failure = this.failure();
    if (failure === 'before') throw new MeridianError('UNAVAILABLE', 'failed on purpose, before');
    if (token !== this.#token) throw new MeridianError('FENCED', `the token is ${this.#token}`);
    decide();
    this.#timestamp += 1;
    const position = {
      instance: 0,
      timestamp: this.#timestamp,
      recordOffset: records.length - 1,
      cursor: null,
    };
    const bytes = records.reduce((sum, record) => sum + record.length, 0);
    this.batches.push({ kind: 'batch', position, records, bytes });
    this.onAppend(this.batches.length);
    this.#tick();
    if (failure === 'after') throw new MeridianError('INDEFINITE', 'failed on purpose, after');
    await new Promise<void>((resolve) => {
      if (this.#held === null) setImmediate(resolve);
      else this.#held.push(resolve);
    });
  }

  #decide({ id, seq, previous }: { id: string; seq: number; previous: number }): void {
    if (previous !== (this.writers.get(id) ?? 0)) {
      throw new MeridianError('WRITER_GAP', 'an append is missing');
    }
    this.writers.set(id, seq);
  }

  #tick(): void {
    for (const follower of this.#followers) follower.schedule();
  }
}

class Follower implements Feed {
  readonly #journal: MemoryJournal;
  readonly #handler: FeedHandler;
  #next: number;
  #scheduled = false;
  #paused = false;
  #over = false;

  constructor(journal: MemoryJournal, handler: FeedHandler, next: number) {
    this.#journal = journal;
    this.#handler = handler;
    this.#next = next;
    this.schedule();
  }

  schedule(): void {
    if (this.#scheduled || this.#paused || this.#over) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#paused || this.#over) return;
      const items: FeedItem[] = this.#journal.batches.slice(this.#next, this.#next + 64);
      this.#next += items.length;
      if (this.#next === this.#journal.batches.length) {
        const { watermark } = this.#journal;
        const position = { instance: 0, timestamp: watermark, recordOffset: 0, cursor: null };
        items.push({ kind: 'progress', watermark, position });
      } else this.schedule();
      this.#handler.onItems(items);
    });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.schedule();
  }

  cancel(): void {
    this.#over = true;
  }

  break(): void {
    if (this.#over) return;
    this.#over = true;
    this.#handler.onEnd(new MeridianError('UNAVAILABLE', 'failed on purpose'));
  }
}
