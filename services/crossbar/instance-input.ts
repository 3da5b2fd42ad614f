/**
 * One instance as an input of a merge: puts the batches of an entry together again (they may arrive
 * in several messages), closes timestamps, and stops reading while too much waits because another
 * instance is behind. It has handed an entry over as soon as the instance has shown that no batch of it
 * is still to come: by a later entry, or by its watermark.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { DeliveryWalker } from '../../libs/frames/delivery-walker.ts';
import { U32_MAX } from '../../libs/frames/ints.ts';
import type { KeyRange } from '../../libs/frames/key-filter.ts';
import { MEMBERS_KEY, memberRecordIn } from '../../libs/frames/member-record.ts';
import type { MemberEvent, MemberRecord } from '../../libs/frames/member-record.ts';
import type { MemberMerge } from '../../libs/merge/member-merge.ts';
import type { Following, Instance, InstanceGap, InstancePosition } from './instance.ts';
import type { MergedEntry, MergedGap } from './merged-entry.ts';

/** The change's key and no other. */
const MEMBERS_RANGE: KeyRange = {
  from: MEMBERS_KEY,
  to: Buffer.concat([MEMBERS_KEY, Buffer.of(0)]),
};

/** What the registry's input needs to know of the members. */
export interface RegistryChanges {
  /** Throws for a change behind which nobody can go on here. */
  check(change: MemberRecord): void;
  /**
   * The changes behind the one timestamp and up to the other. Throws UNAVAILABLE while that is not known: to be
   * asked again later.
   */
  known(after: number, upTo: number): { readonly timestamp: number; change: MemberRecord }[];
}

export interface InputOwner {
  /** Something was pushed or closed: the merge may have something to give. */
  changed(): void;
  failed(input: InstanceInput, error: MeridianError): void;
}

interface OpenEntry {
  readonly timestamp: number;
  readonly pieces: Uint8Array[];
  gap: MergedGap | null;
  change: MemberRecord | null;
}

export class InstanceInput {
  readonly instance: Instance;
  readonly #merge: MemberMerge<MergedEntry, MemberEvent>;
  readonly #owner: InputOwner;
  readonly #bytesMax: number;
  readonly #keyRanges: readonly KeyRange[];
  readonly #changes: RegistryChanges | null;
  #position: InstancePosition;
  #open: OpenEntry | null = null;
  #following: Following | null = null;
  #waitingBytes = 0;
  #paused = false;
  #held = false;

  constructor(options: {
    instance: Instance;
    /** Knows the instance as a member. */
    merge: MemberMerge<MergedEntry, MemberEvent>;
    after: InstancePosition;
    keyRanges: readonly KeyRange[];
    owner: InputOwner;
    bytesMax: number;
    /** For the registry, in whose journal the changes of the members stand. */
    changes: RegistryChanges | null;
  }) {
    this.instance = options.instance;
    this.#merge = options.merge;
    this.#owner = options.owner;
    this.#bytesMax = options.bytesMax;
    this.#changes = options.changes;
    this.#keyRanges =
      options.changes === null || options.keyRanges.length === 0
        ? options.keyRanges
        : [...options.keyRanges, MEMBERS_RANGE];
    this.#position = options.after;
    this.#merge.close(this.instance.number, options.after.timestamp);
  }

  /** The replica that is read; empty while there is none. */
  get source(): string {
    return this.#following?.source ?? '';
  }

  /** Of entries that wait for other instances. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get closed(): number {
    return this.#merge.closed(this.instance.number);
  }

  /** Starts, or starts again after a failure, from the last position. */
  follow(): void {
    this.#following = this.instance.follow(this.#position, this.#keyRanges, {
      batches: (frames) => {
        this.#accept(() => {
          this.#take(frames);
        });
      },
      gap: (gap) => {
        this.#accept(() => {
          this.#miss(gap);
        });
      },
      progress: (watermark) => {
        this.#accept(() => {
          this.#reach(watermark);
        });
      },
      failed: (error) => {
        this.#following = null;
        this.#owner.failed(this, error);
      },
    });
    if (this.#paused) this.#following.pause();
  }

  stop(): void {
    this.#following?.stop();
    this.#following = null;
  }

  /** An entry of this input has left the merge. */
  left(entry: MergedEntry): void {
    this.#waitingBytes -= entry.frames.length;
    this.#regulate();
  }

  /** The owner takes nothing at the moment. */
  hold(held: boolean): void {
    this.#held = held;
    this.#regulate();
  }

  /** What the instance says is bytes from outside: nonsense ends the following, not the process. */
  #accept(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      this.stop();
      this.#owner.failed(this, error);
      return;
    }
    this.#regulate();
    this.#owner.changed();
  }

  #take(frames: Uint8Array): void {
    const walker = new DeliveryWalker(frames);
    let start = 0;
    while (walker.next()) {
      const { timestamp, recordOffset, recordCount } = walker;
      this.#checkOrder(timestamp, recordOffset);
      if (this.#open !== null && this.#open.timestamp !== timestamp) {
        if (walker.start > start) this.#open.pieces.push(frames.subarray(start, walker.start));
        ({ start } = walker);
        this.#finish(this.#open);
      }
      this.#open ??= { timestamp, pieces: [], gap: null, change: null };
      walker.stamp(this.instance.number);
      if (this.#changes !== null && walker.isOf(MEMBERS_KEY)) {
        this.#open.change ??= this.#changeIn(walker.batch, this.#changes);
      }
      this.#position = { timestamp, recordOffset: recordOffset + recordCount - 1 };
    }
    if (this.#open === null) return;
    if (walker.end > start) this.#open.pieces.push(frames.subarray(start, walker.end));
    this.#merge.close(this.instance.number, this.#open.timestamp - 1);
  }

  #changeIn(batch: Uint8Array, changes: RegistryChanges): MemberRecord | null {
    const change = memberRecordIn(batch);
    if (change !== null) changes.check(change);
    return change;
  }

  /** Changes hold although the entries they stood in are gone: empty ones stand in their places. */
  #recall(upTo: number): void {
    for (const { timestamp, change } of this.#changes?.known(this.closed, upTo) ?? []) {
      if (this.#open !== null && this.#open.timestamp !== timestamp) this.#finish(this.#open);
      this.#open ??= { timestamp, pieces: [], gap: null, change: null };
      // Of an entry that is here in part, what is gone may be the change.
      this.#open.change ??= change;
    }
  }

  #checkOrder(timestamp: number, recordOffset: number): void {
    const last = this.#position;
    if (timestamp > last.timestamp) return;
    if (timestamp === last.timestamp && recordOffset > last.recordOffset) return;
    // P2 is broken where it came from. To drop it or to pass it on would both be a guess.
    throw new MeridianError(
      'CORRUPT',
      `instance ${this.instance.name} delivered ${timestamp}/${recordOffset} after ${last.timestamp}/${last.recordOffset}`,
      { details: { instance: this.instance.name, source: this.source } },
    );
  }

  /** The gap stands in the order where its last missing record would. */
  #miss({ kind, from, to }: InstanceGap): void {
    const whole = to.recordOffset === 0;
    const timestamp = whole ? to.timestamp - 1 : to.timestamp;
    if (timestamp <= this.closed) return;
    this.#recall(timestamp);
    if (this.#open !== null && this.#open.timestamp !== timestamp) this.#finish(this.#open);
    this.#open ??= { timestamp, pieces: [], gap: null, change: null };
    const before = this.#open.gap;
    this.#open.gap = {
      kind: before?.kind === 'lost' ? 'lost' : kind,
      name: this.instance.name,
      from: Math.min(from, before?.from ?? from),
      to: timestamp,
    };
    const recordOffset = whole ? U32_MAX : to.recordOffset - 1;
    this.#position = { timestamp, recordOffset };
    this.#merge.close(this.instance.number, timestamp - 1);
  }

  #reach(watermark: number): void {
    if (this.#open !== null && this.#open.timestamp <= watermark) this.#finish(this.#open);
    this.#merge.close(this.instance.number, watermark);
    if (watermark >= this.#position.timestamp) {
      this.#position = { timestamp: watermark, recordOffset: U32_MAX };
    }
  }

  #finish(open: OpenEntry): void {
    const { timestamp, pieces, gap, change } = open;
    const { number } = this.instance;
    const entry = { timestamp, instance: number, frames: Buffer.concat(pieces), gap, change };
    this.#merge.push(number, timestamp, entry);
    this.#waitingBytes += entry.frames.length;
    this.#open = null;
  }

  /**
   * The input with the lowest closed timestamp never has whole entries waiting, so it is never the one
   * that is paused for its bytes: the merge cannot come to a standstill by this.
   */
  #regulate(): void {
    const full = this.#paused
      ? this.#waitingBytes > this.#bytesMax / 2
      : this.#waitingBytes > this.#bytesMax;
    const paused = this.#held || full;
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#following?.pause();
    else this.#following?.resume();
  }
}
