/**
 * A replica's part in the traces of appends, for those batches that carry a trace context
 * (libs/frames/trace.ts). At home: the append from arrival to answer, and in it queue (until it is
 * stamped), sync (until this disk has it), commit (until two have it), order (until its place is final).
 * At a follower: sync, from the entry's arrival to this disk. A follower names its parent, the home's
 * span, without being told: the id follows from the client's span and the entry's timestamp.
 *
 * Made only where spans have somewhere to go; without it the replica does not even look for a context.
 * Keeps a bounded number of unfinished appends; beyond, traces are left out.
 */
import { entryBatches } from '../../libs/frames/entry.ts';
import { traceOf } from '../../libs/frames/trace.ts';
import type { EntryHeader } from '../../libs/lane/types.ts';
import { derivedSpanId, randomId } from '../../libs/telemetry/spans.ts';
import type { Span, SpanSink } from '../../libs/telemetry/spans.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import type { Clocks } from './clocks.ts';
import type { Frame, JournalEntry, JournalPacket, PendingAppend } from './content.ts';

export interface AppendTracesOptions {
  readonly sink: SpanSink;
  readonly replica: number;
  readonly region: string;
  readonly clocks: Clocks;
}

interface Context {
  readonly traceId: string;
  readonly parentSpanId: string;
}

interface Stamped {
  readonly header: EntryHeader;
  readonly at: number;
  /** The same on the monotonic clock, which alone says what came before a sync began. */
  readonly ticked: number;
}

/** An append of this home on its way. */
interface Home {
  readonly context: Context;
  readonly stream: string;
  readonly arrivedAt: number;
  stamped: Stamped | null;
  syncedAt: number;
  committedAt: number;
}

/** An entry of another lane on its way to this disk. */
interface Followed {
  readonly contexts: readonly Context[];
  readonly lane: number;
  readonly timestamp: Timestamp;
  readonly arrivedAt: number;
  readonly ticked: number;
}

const UNFINISHED_MAX = 1024;
/** Entries remembered, so that one that is sent twice is told once. */
const REMEMBERED_MAX = 1024;

export class AppendTraces {
  readonly #options: AppendTracesOptions;
  readonly #home = new Map<PendingAppend, Home>();
  /** Stamped and not on this disk. */
  #unsynced: Home[] = [];
  #followed: Followed[] = [];
  readonly #seen = new Set<Timestamp>();

  constructor(options: AppendTracesOptions) {
    this.#options = options;
  }

  /** An append was taken; from here on its owner's calls pass through here. */
  arrived(append: PendingAppend): void {
    const bytes = traceOf(append.frame);
    if (bytes === null || this.#home.size >= UNFINISHED_MAX) return;
    const home: Home = {
      context: contextOf(bytes),
      stream: append.header.stream,
      arrivedAt: this.#options.clocks.wall(),
      stamped: null,
      syncedAt: 0,
      committedAt: 0,
    };
    this.#home.set(append, home);
    const { owner } = append;
    append.owner = {
      committed: (each, outcome) => {
        home.committedAt = this.#options.clocks.wall();
        owner.committed(each, outcome);
      },
      decided: (each, outcome) => {
        owner.decided(each, outcome);
        this.#finish(each, home, null);
      },
      refused: (each, reason) => {
        owner.refused(each, reason);
        this.#finish(each, home, reason);
      },
    };
  }

  stamped(header: EntryHeader, appends: readonly PendingAppend[]): void {
    if (this.#home.size === 0) return;
    const at = this.#options.clocks.wall();
    const ticked = this.#options.clocks.monotonic();
    for (const append of appends) {
      const home = this.#home.get(append);
      if (home === undefined) continue;
      home.stamped = { header, at, ticked };
      this.#unsynced.push(home);
    }
  }

  /** A packet of a peer has brought entries. */
  received({ feeds }: JournalPacket): void {
    for (const { entries } of feeds) for (const entry of entries) this.#receivedEntry(entry);
  }

  /** A sync has ended that began so long ago: it covers what came before it began. */
  synced(micros: number): void {
    if (this.#unsynced.length === 0 && this.#followed.length === 0) return;
    const { clocks } = this.#options;
    const now = clocks.wall();
    const begun = clocks.monotonic() - micros;
    this.#unsynced = this.#unsynced.filter((home) => {
      if ((home.stamped?.ticked ?? 0) > begun) return true;
      home.syncedAt = now;
      return false;
    });
    this.#followed = this.#followed.filter((entry) => {
      if (entry.ticked > begun) return true;
      this.#tellFollowed(entry, now);
      return false;
    });
  }

  #receivedEntry({ content, lane, timestamp, kind }: JournalEntry): void {
    if (content === null || kind === 'marker' || this.#seen.has(timestamp)) return;
    const contexts = contextsIn(content);
    if (contexts.length === 0 || this.#followed.length >= UNFINISHED_MAX) return;
    this.#seen.add(timestamp);
    if (this.#seen.size > REMEMBERED_MAX) {
      for (const oldest of this.#seen) {
        this.#seen.delete(oldest);
        break;
      }
    }
    const { clocks } = this.#options;
    const [arrivedAt, ticked] = [clocks.wall(), clocks.monotonic()];
    this.#followed.push({ contexts, lane, timestamp, arrivedAt, ticked });
  }

  #tellFollowed({ contexts, lane, timestamp, arrivedAt }: Followed, now: number): void {
    for (const { traceId, parentSpanId } of contexts) {
      this.#tell({
        traceId,
        spanId: randomId(8),
        parentSpanId: derivedSpanId(parentSpanId, timestamp),
        name: 'follower sync',
        kind: 'consumer',
        startMicros: arrivedAt,
        endMicros: now,
        attributes: { 'meridian.lane': lane, 'meridian.timestamp': timestamp },
      });
    }
  }

  #finish(append: PendingAppend, home: Home, refused: string | null): void {
    this.#home.delete(append);
    const { context, arrivedAt, stamped, syncedAt, committedAt, stream } = home;
    const { traceId, parentSpanId } = context;
    const now = this.#options.clocks.wall();
    const timestamp = stamped?.header.timestamp ?? 0;
    const spanId = derivedSpanId(parentSpanId, timestamp);
    this.#tell({
      traceId,
      spanId,
      parentSpanId,
      name: 'replica append',
      kind: 'server',
      startMicros: arrivedAt,
      endMicros: now,
      attributes: { 'meridian.stream': stream, 'meridian.timestamp': timestamp },
      error: refused ?? undefined,
    });
    const part = (name: string, startMicros: number, endMicros: number): void => {
      const attributes = { 'meridian.lane': stamped?.header.lane ?? -1 };
      const ids = { traceId, spanId: randomId(8), parentSpanId: spanId };
      this.#tell({ ...ids, name, kind: 'internal', startMicros, endMicros, attributes });
    };
    if (stamped === null) return;
    part('queue', arrivedAt, stamped.at);
    if (syncedAt > 0) part('sync', stamped.at, syncedAt);
    if (committedAt > 0) part('commit', stamped.at, committedAt);
    if (committedAt > 0) part('order', committedAt, now);
  }

  #tell(span: Span): void {
    const { sink, replica, region } = this.#options;
    const place = { 'meridian.replica': replica, 'meridian.region': region };
    sink.add({ ...span, attributes: { ...span.attributes, ...place } });
  }
}

function contextOf(bytes: Uint8Array): Context {
  const hex = Buffer.from(bytes).toString('hex');
  return { traceId: hex.slice(0, 32), parentSpanId: hex.slice(32) };
}

function contextsIn(content: Frame): Context[] {
  const contexts: Context[] = [];
  for (const batch of entryBatches(content)) {
    const bytes = traceOf(batch);
    if (bytes !== null) contexts.push(contextOf(bytes));
  }
  return contexts;
}
