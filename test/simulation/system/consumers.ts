/**
 * Who reads the merged order: appliers, each with its database and somebody who reads it linearizably, and plain
 * subscribers, some with a filter, that leave and come back with their cursor. The code of libs/applier, as processes
 * that die at any moment.
 */
import { MeridianError } from '../../../libs/errors/errors.ts';
import { Applier } from '../../../libs/applier/applier.ts';
import { Crossbars } from '../../../libs/applier/crossbars.ts';
import type { Source, SourceSubscription } from '../../../libs/applier/source.ts';
import { decodeCursor, encodeCursor } from '../../../libs/frames/cursor.ts';
import type { Prng } from '../prng.ts';
import type { Trace } from '../trace.ts';
import { check, Violation } from '../violation.ts';
import { Observer, type MergedChecker } from './merged-checker.ts';
import type { ModelDatabase } from './model-database.ts';
import { CLUSTER } from './replica-side.ts';
import type { SystemBug } from './system-bugs.ts';
import type { Calls, Line } from './virtual-calls.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface ConsumerOptions {
  readonly number: number;
  readonly time: VirtualTime;
  readonly prng: Prng;
  readonly calls: Calls;
  readonly trace: Trace;
  readonly checker: MergedChecker;
  /** To the crossbars, the nearest first. */
  readonly lines: readonly Line[];
  readonly silenceMs: number;
  readonly bug: SystemBug | null;
}

/** A read that finds no quorum is given up after so long. */
const READ_MS = 6_000;
/** A process that ends is started again. */
const RESTART = 200_000;

function connected(options: ConsumerOptions): Crossbars {
  const { lines, calls, silenceMs } = options;
  const crossbars = lines.map((_, i) => `crossbar-${i}`);
  return new Crossbars(
    { cluster: CLUSTER, crossbars, deadlineMs: READ_MS, silenceMs, returnMs: 2_000 },
    (address) => {
      const line = lines[crossbars.indexOf(address)];
      if (line === undefined) throw new Error(`no line to ${address}`);
      return calls.channel(address, line);
    },
  );
}

export class ApplierProcess {
  reads = 0;
  failedReads = 0;
  restarts = 0;
  readonly database: ModelDatabase;
  private readonly options: ConsumerOptions & { readonly readEvery: number };
  private life = 0;
  private running: { readonly applier: Applier; readonly source: Crossbars } | null = null;
  private isReading = false;

  constructor(options: ConsumerOptions & { readonly readEvery: number }, database: ModelDatabase) {
    this.options = options;
    this.database = database;
  }

  start(): void {
    const { prng, bug, trace, number, time } = this.options;
    const life = ++this.life;
    trace.note('applier', number, life);
    const source = connected(this.options);
    const applier = new Applier({
      source: bug === null ? source : spoiledSource(source, bug),
      target: this.database,
      chunkBytesMax: prng.pick([500, 5_000, 1 << 20]),
      queueBytesMax: prng.pick([2_000, 8 << 20]),
      positionMs: prng.pick([50, 1_000]),
    });
    this.running = { applier, source };
    applier.begin().catch((error: unknown) => {
      // It could not ask where it stands: as a supervisor does.
      if (!isRetried(error)) time.fail(error);
      else if (this.life === life) this.restart();
    });
    applier.ended.catch((error: unknown) => {
      if (this.life !== life) return;
      const reason = error instanceof Error ? error.message : String(error);
      time.fail(new Violation('applier-ended', `applier ${number} ended: ${reason}`));
    });
  }

  /** Whoever asks reads linearizably, again and again. */
  readNow(): void {
    const { time, prng, readEvery } = this.options;
    void this.read();
    time.after(prng.exponential(readEvery), () => {
      this.readNow();
    });
  }

  crash(): void {
    const { running } = this;
    this.life += 1;
    this.running = null;
    this.isReading = false;
    this.database.kill();
    void running?.applier.stop();
    running?.source.close();
  }

  restart(): void {
    if (this.running !== null) this.crash();
    const { life } = this;
    this.restarts += 1;
    this.options.time.after(this.options.prng.magnitude(1_000, 10 * RESTART), () => {
      if (this.life === life) this.start();
    });
  }

  private async read(): Promise<void> {
    const { checker, time, bug, number, trace } = this.options;
    const applier = this.running?.applier;
    if (applier === undefined || this.isReading) return;
    this.isReading = true;
    const { life } = this;
    const floor = checker.readInvoked();
    const view = (): { count: number; watermark: number } => ({
      count: this.database.count,
      watermark: applier.watermark,
    });
    try {
      const seen =
        bug === 'read-unwaited'
          ? view()
          : await applier.linearizable(view, { deadlineMs: READ_MS });
      this.reads += 1;
      trace.note('mergedRead', number, seen.count, seen.watermark);
      time.judge(() => {
        checker.readDone(`the read at applier ${number}`, floor, seen.count, seen.watermark);
      });
    } catch (error) {
      if (!isRetried(error) && this.life === life) time.fail(error);
      this.failedReads += 1;
    }
    if (this.life === life) this.isReading = false;
  }
}

function isRetried(error: unknown): boolean {
  return error instanceof MeridianError && error.retry;
}

/** A subscriber: leaves at random and comes back with its cursor (I15). */
export class Subscriber {
  readonly observer: Observer;
  resumed = 0;
  private readonly options: ConsumerOptions;
  private readonly streams: readonly string[];
  private source: Crossbars | null = null;
  private subscription: SourceSubscription | null = null;
  private cursor: Uint8Array | null = null;

  constructor(options: ConsumerOptions, stream: string | null) {
    this.options = options;
    this.streams = stream === null ? [] : [stream];
    const who = `subscriber ${options.number}`;
    this.observer = new Observer(options.checker, who, stream);
  }

  start(): void {
    const { time, bug, number } = this.options;
    const source = connected(this.options);
    this.source = source;
    const from = bug === null ? source : spoiledSource(source, bug);
    const taken = (action: () => void): void => {
      if (this.source === source) time.judge(action);
    };
    this.subscription = from.subscribe(
      { after: this.cursor, streams: this.streams, keys: [] },
      {
        onBatches: (frames, cursor) => {
          taken(() => {
            this.observer.batches(frames);
            this.cursor = cursor;
          });
        },
        onProgress: (watermark, cursor) => {
          taken(() => {
            // Of its first words some may say no more than the cursor did.
            if (watermark < this.observer.watermark) return;
            this.observer.progress(watermark);
            this.cursor = cursor;
          });
        },
        onGap: (gap) => {
          taken(() => {
            check(false, 'merged-gap', () => `subscriber ${number}: ${JSON.stringify(gap)}`);
          });
        },
        onEnd: (error) => {
          taken(() => {
            check(false, 'subscription-ended', () => `subscriber ${number}: ${error.message}`);
          });
        },
      },
    );
  }

  leave(): void {
    const { source } = this;
    this.source = null;
    this.subscription?.cancel();
    source?.close();
  }

  /** With its cursor, or as somebody who has seen nothing. */
  leaveAndReturn(anew: boolean): void {
    if (this.source === null) return;
    this.leave();
    this.resumed += 1;
    if (anew) {
      this.cursor = null;
      this.observer.resume(0, 0);
    }
    this.options.time.after(this.options.prng.magnitude(1_000, 2_000_000), () => {
      if (this.source === null) this.start();
    });
  }
}

/** A source with a bug planted between consumer and crossbars. */
function spoiledSource(source: Crossbars, bug: SystemBug): Source {
  const shift = bug === 'cursor-ahead' ? 100_000 : bug === 'cursor-behind' ? -500_000 : 0;
  const moved = (cursor: Uint8Array): Uint8Array =>
    encodeCursor(
      CLUSTER,
      decodeCursor(CLUSTER, cursor).map((part) => ({
        ...part,
        timestamp: Math.max(8, part.timestamp + shift),
      })),
    );
  return {
    subscribe: (wish, handler) => {
      const after = wish.after === null || shift === 0 ? wish.after : moved(wish.after);
      return source.subscribe({ ...wish, after }, handler);
    },
    readPoint: (deadlineMs) => source.readPoint(deadlineMs),
  };
}
