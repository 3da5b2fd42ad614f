/**
 * A key-value store over a journal, in the manner of etcd: get, put, delete, compare-and-swap, watch. Any
 * number of copies in any regions, all equal; every one takes writes and answers linearizable reads.
 *
 * A write is an append: the journal makes it durable and gives it its place; the copy that sent it learns the
 * outcome when it applies it, like all others. A read waits until this copy holds everything that had
 * completed anywhere when it was asked for.
 */
import { randomUUID } from 'node:crypto';
import { MeridianError } from '../../errors/errors.ts';
import type { RecordInput } from '../../frames/batch.ts';
import { startApplier } from '../applier.ts';
import type { Applier } from '../applier.ts';
import type { Source } from '../source.ts';
import { recordOf } from './commands.ts';
import type { Command } from './commands.ts';
import { KvStore } from './store.ts';
import type { Entry, KvEvent, Outcome, StoreOptions } from './store.ts';

/** Of `Journal` in libs/client, what is used here. */
export interface AppendableJournal {
  append(
    stream: string,
    records: readonly RecordInput[],
    options: { readonly deadlineMs: number },
  ): Promise<unknown>;
}

export interface KvOptions extends Pick<StoreOptions, 'file' | 'snapshotEvery' | 'eventsMax'> {
  readonly journal: AppendableJournal;
  readonly source: Source;
  /** Every store has a stream of its own. */
  readonly stream: string;
  /** How long a call is tried, ms. Default 10,000. */
  readonly deadlineMs?: number;
}

interface Pending {
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: MeridianError) => void;
}

const DEADLINE_MS = 10_000;

/** Resolves when its state has been loaded and the journal is followed. */
export async function openKv(options: KvOptions): Promise<Kv> {
  const kv = new Kv(options);
  await kv.open();
  return kv;
}

export class Kv {
  readonly #options: KvOptions;
  readonly #store: KvStore;
  readonly #deadlineMs: number;
  readonly #pending = new Map<string, Pending>();
  readonly #watchers = new Set<() => void>();
  #applier: Applier | null = null;
  #closed = false;

  /** Use `openKv`. */
  constructor(options: KvOptions) {
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#store = new KvStore({
      ...options,
      onOutcome: (id, outcome) => this.#pending.get(id)?.resolve(outcome),
      onApplied: () => {
        this.#wake();
      },
    });
  }

  /** The newest value anywhere: linearizable. */
  get(key: string): Promise<Entry | null> {
    return this.#read(() => this.#store.get(key));
  }

  /** The keys with this prefix, ascending: linearizable. */
  keys(prefix = ''): Promise<string[]> {
    return this.#read(() => this.#store.keys(prefix));
  }

  /** What this copy holds at the moment; others may be ahead. */
  getLocal(key: string): Entry | null {
    return this.#store.get(key);
  }

  /** Resolves with the revision. Errors: see `Journal.append`; unless `noEffect`, it may have happened. */
  async put(key: string, value: string): Promise<number> {
    return (await this.#write({ kind: 'put', key, value })).revision;
  }

  /** false: there was none. */
  async delete(key: string): Promise<boolean> {
    return (await this.#write({ kind: 'delete', key })).changed;
  }

  /**
   * Sets the value only if the key was last modified at revision `expected`; 0: only if it does not exist.
   * `changed` says whether; `entry` is what the key holds afterwards in either case.
   */
  compareAndSwap(key: string, expected: number, value: string): Promise<Outcome> {
    return this.#write({ kind: 'swap', key, expected, value });
  }

  /**
   * Every change of keys with this prefix after the revision, in the order, each once. Default: those from
   * now on. A watcher holds nothing: one too slow for what the store keeps fails as OUT_OF_RANGE.
   */
  async *watch(
    prefix = '',
    after = this.#store.revision,
  ): AsyncGenerator<KvEvent, void, undefined> {
    let seen = after;
    for (;;) {
      const events = this.#store.eventsAfter(seen);
      for (const event of events) {
        seen = event.revision;
        if (event.key.startsWith(prefix)) yield event;
      }
      if (this.#closed) return;
      if (events.length === 0) await this.#changed();
    }
  }

  /** Saves, and stops following; what was written and not answered fails as INDEFINITE. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#applier?.stop();
    await this.#store.save();
    const error = new MeridianError(
      'INDEFINITE',
      'the store was closed before the write was applied',
    );
    for (const { reject } of this.#pending.values()) reject(error);
    this.#wake();
  }

  /** Called by `openKv`. */
  async open(): Promise<void> {
    const { source, stream } = this.#options;
    this.#applier = await startApplier({ source, target: this.#store, streams: [stream] });
    this.#applier.ended.then(
      () => undefined,
      (error: unknown) => {
        for (const { reject } of this.#pending.values()) reject(indefinite(error));
      },
    );
  }

  #read<T>(read: () => T): Promise<T> {
    return this.#running().linearizable(read, { deadlineMs: this.#deadlineMs });
  }

  async #write(command: Command): Promise<Outcome> {
    const id = randomUUID();
    const deadlineMs = this.#deadlineMs;
    this.#running();
    let timer: NodeJS.Timeout | undefined;
    const applied = new Promise<Outcome>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      timer = setTimeout(() => {
        reject(new MeridianError('DEADLINE', `not applied within ${deadlineMs} ms`));
      }, deadlineMs);
    });
    // The append may fail first; then nobody waits for this.
    applied.catch(() => undefined);
    try {
      await this.#options.journal.append(this.#options.stream, [recordOf(command, id)], {
        deadlineMs,
      });
      return await applied;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  #running(): Applier {
    if (this.#applier !== null && !this.#closed) return this.#applier;
    throw new MeridianError('UNAVAILABLE', 'the store is not open');
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#watchers.delete(wake);
        resolve();
      };
      this.#watchers.add(wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#watchers]) wake();
  }
}

function indefinite(cause: unknown): MeridianError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new MeridianError('INDEFINITE', `the store does not follow any more: ${text}`, { cause });
}
