/**
 * The state of the key-value store as a target of an applier: a map, the revision, and the position they
 * belong to. Deterministic: the same records give the same state in every copy.
 *
 * The revision is the number of commands applied. Map and position change in one turn of the event loop and
 * are written in one file, so they always agree; after a crash the journal gives again what came later.
 */
import { MeridianError } from '../../errors/errors.ts';
import { readSnapshot, writeSnapshot } from '../snapshot-file.ts';
import type { Chunk, Position, Target } from '../target.ts';
import { commandOf } from './commands.ts';
import type { Command } from './commands.ts';

export interface Entry {
  readonly value: string;
  /** Revision at which the key came into being, and at which it was last changed. */
  readonly created: number;
  readonly modified: number;
}

/** A change, as watchers see it; `entry` null: the key is gone. */
export interface KvEvent {
  readonly revision: number;
  readonly key: string;
  readonly entry: Entry | null;
}

/** What became of a command. */
export interface Outcome {
  readonly revision: number;
  /** false: the condition of a swap did not hold, or there was nothing to delete. */
  readonly changed: boolean;
  /** What the key holds now. */
  readonly entry: Entry | null;
}

export interface StoreOptions {
  /** The only stream whose records are looked at. */
  readonly stream: string;
  /** Where snapshots are kept; default: nowhere, so that every start begins at the beginning. */
  readonly file?: string;
  /** Commands between two snapshots. Default 10,000. */
  readonly snapshotEvery?: number;
  /** Latest events kept for watchers. Default 10,000. */
  readonly eventsMax?: number;
  /** Told of every command, in the order. */
  readonly onOutcome: (id: string, outcome: Outcome) => void;
  /** A chunk is in the state. */
  readonly onApplied: () => void;
}

export class KvStore implements Target {
  readonly #options: StoreOptions;
  #entries = new Map<string, Entry>();
  #revision = 0;
  #position: Position | null = null;
  #events: KvEvent[] = [];
  /** Revision of the last event that is not kept any more. */
  #forgotten = 0;
  #saved = 0;
  #loaded = false;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get revision(): number {
    return this.#revision;
  }

  get(key: string): Entry | null {
    return this.#entries.get(key) ?? null;
  }

  keys(prefix: string): string[] {
    return [...this.#entries.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  /** Events after the revision, oldest first. OUT_OF_RANGE when they are not all kept any more. */
  eventsAfter(revision: number): readonly KvEvent[] {
    if (revision < this.#forgotten) {
      const message = `events up to revision ${this.#forgotten} are not kept any more: get the keys, then watch from ${this.#revision}`;
      throw new MeridianError('OUT_OF_RANGE', message, {
        details: { revision, forgotten: this.#forgotten, current: this.#revision },
      });
    }
    let from = this.#events.length;
    while (from > 0 && (this.#events[from - 1]?.revision ?? 0) > revision) from -= 1;
    return this.#events.slice(from);
  }

  /** The state of the file, the first time; later that of the memory, which is never behind it. */
  async position(): Promise<Position | null> {
    if (!this.#loaded && this.#options.file !== undefined) {
      const text = await readSnapshot(this.#options.file);
      if (text !== null) this.#restore(text);
    }
    this.#loaded = true;
    return this.#position;
  }

  async apply({ batches, position }: Chunk): Promise<void> {
    for (const { stream, records } of batches) {
      if (stream !== this.#options.stream) continue;
      for (const record of records) {
        const known = commandOf(record);
        if (known !== null) this.#options.onOutcome(known.id, this.#execute(known.command));
      }
    }
    this.#position = position;
    this.#options.onApplied();
    if (this.#revision - this.#saved >= (this.#options.snapshotEvery ?? 10_000)) await this.save();
  }

  /** Writes the snapshot now. */
  async save(): Promise<void> {
    const { file } = this.#options;
    if (file === undefined || this.#position === null) return;
    const cursor = Buffer.from(this.#position.cursor).toString('base64');
    const { watermark } = this.#position;
    const state = { cursor, watermark, revision: this.#revision, entries: [...this.#entries] };
    this.#saved = this.#revision;
    await writeSnapshot(file, JSON.stringify(state));
  }

  #restore(text: string): void {
    const state = JSON.parse(text) as {
      cursor: string;
      watermark: number;
      revision: number;
      entries: [string, Entry][];
    };
    this.#entries = new Map(state.entries);
    this.#revision = this.#saved = this.#forgotten = state.revision;
    this.#position = { cursor: Buffer.from(state.cursor, 'base64'), watermark: state.watermark };
  }

  #execute(command: Command): Outcome {
    this.#revision += 1;
    const revision = this.#revision;
    const { key } = command;
    const before = this.get(key);
    const refused =
      (command.kind === 'swap' && (before?.modified ?? 0) !== command.expected) ||
      (command.kind === 'delete' && before === null);
    if (refused) return { revision, changed: false, entry: before };
    if (command.kind === 'delete') this.#entries.delete(key);
    else {
      const created = before?.created ?? revision;
      this.#entries.set(key, { value: command.value, created, modified: revision });
    }
    const entry = this.get(key);
    this.#remember({ revision, key, entry });
    return { revision, changed: true, entry };
  }

  #remember(event: KvEvent): void {
    this.#events.push(event);
    const eventsMax = this.#options.eventsMax ?? 10_000;
    if (this.#events.length < 2 * eventsMax) return;
    const gone = this.#events.splice(0, this.#events.length - eventsMax);
    this.#forgotten = gone.at(-1)?.revision ?? this.#forgotten;
  }
}
