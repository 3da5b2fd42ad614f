/** A released journal in memory, for tests: real index, order and store over a log of byte arrays. */
import { encodeBatch, encodeControlBatch } from '../../libs/frames/batch.ts';
import type { BatchInput } from '../../libs/frames/batch.ts';
import type { ControlAction } from '../../libs/frames/control.ts';
import { encodeEntry } from '../../libs/frames/entry.ts';
import { createOrderMachine } from '../../libs/order/machine.ts';
import type { Location } from '../../libs/storage/log.ts';
import { epoch, index, micros, timestamp } from '../../libs/values/numbers.ts';
import { laneOf } from '../../libs/values/numbers.ts';
import type { History } from './archive-history.ts';
import type { Clocks } from './clocks.ts';
import type { JournalEntry } from './content.ts';
import { LaneStore } from './lane-store.ts';
import { ReleaseIndex } from './release-index.ts';
import { Releaser } from './releaser.ts';
import { Watermark } from './watermark.ts';

export type MemoryBatch = Partial<BatchInput> & { readonly action?: ControlAction };

export class MemoryJournal {
  readonly index = new ReleaseIndex();
  readonly order = createOrderMachine();
  readonly watermark = new Watermark(micros(0));
  readonly store: LaneStore;
  readonly releaser: Releaser;
  /** Of what `index.dropBefore` took away; null: there is no archive. */
  history: History | null = null;
  now = 0;
  /** Microseconds that each look at the clock takes. */
  cost = 0;
  readonly #bodies: Uint8Array[] = [];
  readonly #next = [1, 1, 1];

  constructor(cacheBytesMax = 1 << 20) {
    this.store = new LaneStore(cacheBytesMax);
    this.store.readFrom({
      read: ({ offset }) => this.#bodies[offset] ?? new Uint8Array(),
    });
    const clocks: Clocks = {
      monotonic: () => {
        this.now += this.cost;
        return micros(this.now);
      },
      wall: () => this.now,
    };
    const { index: releases, order, watermark, store } = this;
    this.releaser = new Releaser({ order, index: releases, store, watermark, clocks });
  }

  /** Writes an entry at this timestamp, whose lane follows from it, and returns it. */
  write(time: number, batches: readonly MemoryBatch[]): JournalEntry {
    const lane = laneOf(timestamp(time));
    const slot = this.#next[lane] ?? 1;
    this.#next[lane] = slot + 1;
    const header = {
      lane,
      epoch: epoch(8 + lane),
      index: index(slot),
      timestamp: timestamp(time),
      kind: batches.length === 0 ? ('marker' as const) : ('batches' as const),
    };
    const frames = batches.map(({ action, ...batch }) => {
      if (action === undefined) {
        return encodeBatch({ stream: 's', records: [{ body: Buffer.from('x') }], ...batch });
      }
      const control = { requestId: '', notAfter: Number.MAX_SAFE_INTEGER, action };
      return encodeControlBatch({ stream: batch.stream ?? 's', control });
    });
    const content = encodeEntry(header, frames);
    const entry: JournalEntry = { ...header, bytes: content.length, content };
    const location: Location = { segment: 1, offset: this.#bodies.length, bytes: content.length };
    this.#bodies.push(Buffer.from(content));
    this.store.add(entry, location);
    return entry;
  }

  release(entries: readonly JournalEntry[], watermark: number): void {
    this.releaser.add(
      entries.map((entry) => ({ entry, appends: null })),
      timestamp(watermark),
    );
    while (this.releaser.run());
  }

  add(time: number, batches: readonly MemoryBatch[]): void {
    this.release([this.write(time, batches)], time);
  }
}
