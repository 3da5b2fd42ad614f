/**
 * The database that an applier fills: data and position in one transaction, which takes time, may fail before or
 * after it took effect, and is lost or not when the process dies. Every batch it commits is held against the total
 * order (I14: the state at a position is the fold of the order up to there, and both move together).
 */
import { MeridianError } from '../../../libs/errors/errors.ts';
import type { Chunk, Position, Target } from '../../../libs/applier/target.ts';
import { decodeRecords } from '../../../libs/frames/batch.ts';
import type { Prng } from '../prng.ts';
import { check } from '../violation.ts';
import { Observer, type MergedBatch, type MergedChecker } from './merged-checker.ts';
import type { SystemBug } from './system-bugs.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface DatabaseOptions {
  readonly who: string;
  readonly time: VirtualTime;
  readonly prng: Prng;
  readonly checker: MergedChecker;
  /** Longest transaction, microseconds. */
  readonly slowness: number;
  /** Share of transactions that fail, half of them after they took effect. */
  readonly failing: number;
  readonly bug: SystemBug | null;
}

export class ModelDatabase implements Target {
  /** Keys of the committed records, with the last value. */
  readonly rows = new Map<string, string>();
  committed = 0;
  failed = 0;
  /** No transaction fails any more. */
  healed = false;
  private readonly options: DatabaseOptions;
  private readonly observer: Observer;
  private stored: Position | null = null;
  /** What an old copy of the position says, for a planted bug. */
  private before: Position | null = null;
  /** Transactions of an earlier one are nobody's. */
  private generation = 0;
  /** Of the transaction under way. */
  private chunk: Chunk | null = null;

  constructor(options: DatabaseOptions) {
    this.options = options;
    this.observer = new Observer(options.checker, options.who, null);
  }

  /** Batches of the order that are in it. */
  get count(): number {
    return this.observer.place;
  }

  /** The connection of who writes is gone: what was under way commits now, or never will. */
  kill(): void {
    const { chunk } = this;
    this.generation += 1;
    this.chunk = null;
    if (chunk === null || this.options.prng.chance(0.5)) return;
    this.commitData(chunk);
    if (this.options.bug !== 'position-apart') this.commitPosition(chunk);
  }

  async position(): Promise<Position | null> {
    await this.pass();
    if (this.fails()) throw unreachable();
    return this.options.bug === 'position-stale' ? this.before : this.stored;
  }

  async apply(chunk: Chunk): Promise<void> {
    const { generation } = this;
    const { prng, bug } = this.options;
    this.chunk = chunk;
    await this.pass();
    if (generation !== this.generation) throw unreachable();
    this.chunk = null;
    const fails = this.fails();
    if (fails && prng.chance(0.5)) throw unreachable();
    this.commitData(chunk);
    if (bug === 'position-apart') {
      await this.pass();
      if (generation !== this.generation) throw unreachable();
    }
    this.commitPosition(chunk);
    if (fails) throw unreachable();
  }

  /** I14, as a whole: of another fold of the same order. */
  checkRows(): void {
    const expected = new Map<string, string>();
    for (const batch of this.options.checker.order.slice(0, this.count)) fold(expected, batch);
    const isSame =
      expected.size === this.rows.size &&
      [...expected].every(([key, value]) => this.rows.get(key) === value);
    check(isSame, 'database-differs', () => `${this.options.who} differs after ${this.count}`);
  }

  private commitData({ batches }: Chunk): void {
    this.options.time.judge(() => {
      for (const batch of batches) {
        const expected = this.observer.next(batch);
        const bodies = batch.records.map(({ body }) => Buffer.from(body).toString());
        const known = decodeRecords(expected.batch);
        const isSame =
          known.length === bodies.length &&
          known.every(({ body }, i) => Buffer.from(body).toString() === bodies[i]);
        check(isSame && batch.stream === expected.stream, 'merged-bytes', () => {
          return `${this.options.who} is given other records at ${batch.timestamp}`;
        });
        fold(this.rows, expected);
      }
      this.committed += 1;
    });
  }

  private commitPosition({ position }: Chunk): void {
    this.options.time.judge(() => {
      this.observer.progress(position.watermark);
    });
    this.before = this.stored;
    this.stored = { cursor: Uint8Array.from(position.cursor), watermark: position.watermark };
  }

  private fails(): boolean {
    const fails = !this.healed && this.options.prng.chance(this.options.failing);
    if (fails) this.failed += 1;
    return fails;
  }

  private pass(): Promise<void> {
    const { time, prng, slowness } = this.options;
    return new Promise((resolve) => {
      time.after(prng.magnitude(50, this.healed ? 1_000 : slowness), resolve);
    });
  }
}

function fold(rows: Map<string, string>, { stream, batch }: MergedBatch): void {
  for (const { key, body } of decodeRecords(batch)) {
    rows.set(`${stream}/${Buffer.from(key ?? []).toString()}`, Buffer.from(body).toString());
  }
}

function unreachable(): MeridianError {
  return new MeridianError('UNAVAILABLE', 'the connection to the database was lost');
}
