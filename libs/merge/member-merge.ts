/**
 * The merge over instances that join and leave (SPEC.md, Members): a `Merge` of the members of the moment,
 * built anew where an emitted item changes them. Two of these that are given the same journals emit the same,
 * however what they are given is interleaved, because a change is itself an item of the order.
 *
 * The owner follows who is a member: `drain` tells what has changed and from where a new one is read.
 */
import { assert, at } from '../values/assert.ts';
import type { MemberChange, MemberSet, Members, Place, PlacedChange } from './members.ts';
import { Merge } from './merge.ts';

export class MemberMerge<Item, Change extends MemberChange = MemberChange> {
  readonly #members: Members<Change>;
  readonly #changeIn: (item: Item) => Change | null;
  #set: MemberSet;
  #merge: Merge<Item>;
  #watermark = 0;

  /**
   * `members` knows every change up to `after`, behind which the order is wanted. `changeIn` is asked about
   * the registry's items only.
   */
  constructor(members: Members<Change>, after: Place, changeIn: (item: Item) => Change | null) {
    this.#members = members;
    this.#changeIn = changeIn;
    this.#set = members.behind(after);
    this.#merge = new Merge(this.#set.length);
    for (const [input, instance] of this.#set.entries()) {
      this.#merge.close(input, readFrom(instance, after));
    }
    this.#watermark = this.#merge.watermark;
  }

  /** Whose journals are merged at the moment. */
  get members(): MemberSet {
    return this.#set;
  }

  /**
   * N3: everything up to here was emitted, and nothing at or below it follows, of whoever joins either. So it
   * moves only when a drain came to its end: what closes may be far behind a change that still waits.
   */
  get watermark(): number {
    return this.#watermark;
  }

  /** Items waiting. */
  get size(): number {
    return this.#merge.size;
  }

  /** false: this instance is no member, and what it says is not of the order. */
  push(instance: number, timestamp: number, item: Item): boolean {
    const input = this.#set.indexOf(instance);
    if (input < 0) return false;
    this.#merge.push(input, timestamp, item);
    return true;
  }

  /** What a member was last said to have closed. */
  closed(instance: number): number {
    const input = this.#set.indexOf(instance);
    assert(input >= 0, `instance ${instance} is no member`);
    return this.#merge.closed(input);
  }

  close(instance: number, timestamp: number): void {
    const input = this.#set.indexOf(instance);
    if (input >= 0) this.#merge.close(input, timestamp);
  }

  /**
   * Emits what waits and is final, in (timestamp, instance) order, until `emit` says false. Returns the
   * changes that it met: who joined is to be read from `readFrom`, who left no more.
   */
  drain(
    emit: (item: Item, instance: number, timestamp: number) => unknown,
  ): readonly PlacedChange<Change>[] {
    const met: PlacedChange<Change>[] = [];
    for (;;) {
      const sink = { enough: false };
      const changes: PlacedChange<Change>[] = [];
      this.#merge.drain((item, input, timestamp) => {
        const instance = at(this.#set, input);
        const change = instance === this.#members.registry ? this.#changeIn(item) : null;
        const placed = change === null ? null : { change, at: { timestamp, instance } };
        // N7: taken first, because whoever is given the item may say at once who the members behind it are.
        if (placed !== null && this.#members.take(placed)) changes.push(placed);
        sink.enough = emit(item, instance, timestamp) === false;
        return !sink.enough && changes.length === 0;
      });
      for (const change of changes) this.#rebuild(change.at);
      met.push(...changes);
      if (sink.enough) return met;
      if (changes.length > 0) continue;
      assert(this.#merge.watermark >= this.#watermark, 'a watermark does not go back');
      this.#watermark = this.#merge.watermark;
      return met;
    }
  }

  /** The members behind the place; who stays keeps what it has said. */
  #rebuild(place: Place): void {
    const set = this.#members.behind(place);
    const merge = new Merge<Item>(set.length);
    for (const [input, instance] of set.entries()) {
      const before = this.#set.indexOf(instance);
      if (before >= 0) this.#merge.handOver(before, merge, input);
      else merge.close(input, readFrom(instance, place));
    }
    this.#set = set;
    this.#merge = merge;
  }
}

/** The timestamp up to which an instance has nothing to say behind the place. */
export function readFrom(instance: number, { timestamp, instance: last }: Place): number {
  return timestamp === 0 || instance <= last ? timestamp : timestamp - 1;
}
