import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Members, comparePlaces } from './members.ts';
import type { MemberChange, Place } from './members.ts';
import { MemberMerge, readFrom } from './member-merge.ts';

/** An entry of an instance's journal. */
interface Entry extends Place {
  readonly change: MemberChange | null;
}

const REGISTRY = 2;
const FOUNDERS = [REGISTRY, 1];
const CANDIDATES = [1, 2, 3, 4];
const BEGIN: Place = { timestamp: 0, instance: 65_535 };
const changeIn = ({ change }: Entry): MemberChange | null => change;
const text = ({ timestamp, instance }: Place): string => `${timestamp}/${instance}`;

/**
 * The order by its definition: entries in their places, each if its instance is a member there; with those that
 * are members behind it.
 */
function orderOf(journals: readonly Entry[]): (Entry & { readonly behind: string })[] {
  let set = new Set(FOUNDERS);
  const used = new Set(FOUNDERS);
  return [...journals].sort(comparePlaces).flatMap((entry) => {
    const counts = set.has(entry.instance);
    const { change, instance } = entry;
    if (counts && change !== null && instance === REGISTRY) {
      const { kind, instance: who } = change;
      if (kind === 'join' && !used.has(who)) set = new Set([...set, who]);
      if (kind === 'join') used.add(who);
      if (kind === 'leave' && who !== REGISTRY) set = new Set([...set].filter((it) => it !== who));
    }
    const behind = [...set].sort((a, b) => a - b).join();
    return counts ? [{ ...entry, behind }] : [];
  });
}

/** A crossbar: reads the journals of the members, and what they promise, in an interleaving of its own. */
class Reader {
  readonly emitted: Entry[] = [];
  /** Behind each entry, asked for while it was emitted. */
  readonly behind: string[] = [];
  readonly merge: MemberMerge<Entry>;
  readonly #members: Members;
  readonly #journals: readonly Entry[];
  readonly #end: number;
  /** Per instance: what it was given, and up to where that was promised to be all. */
  readonly #read = new Map<number, number>();
  #watermark = 0;

  constructor(journals: readonly Entry[], end: number, members: Members, after: Place) {
    this.#members = members;
    this.#journals = journals;
    this.#end = end;
    this.merge = new MemberMerge(members, after, changeIn);
    for (const instance of members.behind(after))
      this.#read.set(instance, readFrom(instance, after));
    this.#watermark = this.merge.watermark;
  }

  /** The next entry of an instance comes, or it promises that up to there is no other; then perhaps a drain. */
  step(choice: number, promise: boolean, most: number): void {
    const { members } = this.merge;
    const instance = members[choice % members.length] ?? 0;
    const from = this.#read.get(instance) ?? 0;
    const next = this.#next(instance, from);
    if (next !== undefined && !promise) {
      expect(this.merge.push(instance, next.timestamp, next)).toBe(true);
      this.#read.set(instance, next.timestamp);
    } else {
      const until = next === undefined ? Math.min(this.#end, from + 1 + choice) : from;
      this.merge.close(instance, until);
      this.#read.set(instance, until);
    }
    this.drain(most);
  }

  drain(most: number): void {
    let left = most;
    const changes = this.merge.drain((entry, instance) => {
      expect(instance).toBe(entry.instance);
      expect(entry.timestamp).toBeGreaterThan(this.#watermark);
      this.emitted.push(entry);
      this.behind.push(this.#members.behind(entry).join());
      left -= 1;
      return left > 0;
    });
    for (const { change, at } of changes) {
      if (change.kind === 'join') this.#read.set(change.instance, readFrom(change.instance, at));
    }
    expect(this.merge.watermark).toBeGreaterThanOrEqual(this.#watermark);
    this.#watermark = this.merge.watermark;
  }

  finish(): void {
    while (this.merge.watermark < this.#end) {
      for (const instance of this.merge.members) {
        const from = this.#read.get(instance) ?? 0;
        const next = this.#next(instance, from);
        if (next !== undefined) this.merge.push(instance, next.timestamp, next);
        this.#read.set(instance, next?.timestamp ?? this.#end);
        if (next === undefined) this.merge.close(instance, this.#end);
      }
      this.drain(Infinity);
    }
    expect(this.merge.size).toBe(0);
  }

  #next(instance: number, from: number): Entry | undefined {
    return this.#journals.find((it) => it.instance === instance && it.timestamp > from);
  }
}

describe('a merge of instances that come and go', () => {
  const entry = fc.record({
    timestamp: fc.integer({ min: 1, max: 40 }),
    instance: fc.constantFrom(...CANDIDATES),
    change: fc.option(
      fc.record({
        kind: fc.constantFrom('join' as const, 'leave' as const),
        instance: fc.constantFrom(...CANDIDATES),
      }),
    ),
  });
  const journals = fc
    .uniqueArray(entry, { selector: text, maxLength: 50 })
    .map((all) => all.sort(comparePlaces));
  const steps = fc.array(fc.tuple(fc.nat(5), fc.boolean(), fc.constantFrom(1, 3, Infinity)), {
    maxLength: 120,
  });

  it('N1, N2, N3, N7: emits the one order, whatever the interleaving, and no watermark before its entries', () => {
    let changed = 0;
    fc.assert(
      fc.property(journals, steps, steps, (all, ...interleavings) => {
        const order = orderOf(all);
        for (const interleaving of interleavings) {
          const members = new Members(FOUNDERS);
          const reader = new Reader(all, 50, members, BEGIN);
          for (const [choice, promise, most] of interleaving) reader.step(choice, promise, most);
          reader.finish();
          expect(reader.emitted.map(text)).toEqual(order.map(text));
          expect(reader.behind).toEqual(order.map(({ behind }) => behind));
          changed += members.changes.length;
        }
      }),
      { numRuns: 400 },
    );
    expect(changed).toBeGreaterThan(200);
  });

  it('N6: goes on from any place of the order as if it had never stopped', () => {
    fc.assert(
      fc.property(journals, fc.nat(), steps, (all, where, interleaving) => {
        const order = orderOf(all);
        const place = order[where % (order.length + 1)] ?? BEGIN;
        const members = new Members(FOUNDERS);
        const begun = order.filter((it) => place !== BEGIN && comparePlaces(it, place) <= 0);
        for (const it of begun) {
          const { change, timestamp, instance } = it;
          if (change === null || instance !== REGISTRY) continue;
          members.take({ change, at: { timestamp, instance } });
        }
        const reader = new Reader(all, 50, members, place);
        for (const [choice, promise, most] of interleaving) reader.step(choice, promise, most);
        reader.finish();
        expect(reader.emitted.map(text)).toEqual(order.slice(begun.length).map(text));
      }),
      { numRuns: 300 },
    );
  });

  it('N2: what an instance said before it joined, or says after it left, is of no order', () => {
    const merge = new MemberMerge(new Members(FOUNDERS), BEGIN, changeIn);
    const push = (
      instance: number,
      timestamp: number,
      change: MemberChange | null = null,
    ): boolean => merge.push(instance, timestamp, { instance, timestamp, change });
    expect(push(3, 5)).toBe(false);
    push(REGISTRY, 10, { kind: 'join', instance: 3 });
    push(1, 20);
    for (const instance of FOUNDERS) merge.close(instance, 30);
    const seen: string[] = [];
    const drain = (): number => merge.drain((it) => seen.push(text(it))).length;
    expect(drain()).toBe(1);
    expect([...merge.members]).toEqual([1, 2, 3]);
    // At the place of the change itself it stands behind it.
    expect(push(3, 10)).toBe(true);
    push(REGISTRY, 40, { kind: 'leave', instance: 1 });
    push(1, 39);
    push(1, 41);
    for (const instance of [...FOUNDERS, 3]) merge.close(instance, 50);
    expect(drain()).toBe(1);
    expect(seen).toEqual(['10/2', '10/3', '20/1', '39/1', '40/2']);
    expect(push(1, 60)).toBe(false);
    expect(merge.size).toBe(0);
  });

  it('N3: withholds the watermark behind a join until the new one has closed it, and a leave frees it', () => {
    const merge = new MemberMerge(new Members(FOUNDERS), BEGIN, changeIn);
    const change = { kind: 'join', instance: 3 } as const;
    merge.push(REGISTRY, 10, { timestamp: 10, instance: REGISTRY, change });
    for (const instance of FOUNDERS) merge.close(instance, 1_000);
    expect(merge.watermark).toBe(0);
    merge.drain(() => true);
    expect(merge.watermark).toBe(9);
    merge.close(3, 700);
    merge.drain(() => true);
    expect(merge.watermark).toBe(700);
    const leave = { kind: 'leave', instance: 3 } as const;
    merge.push(REGISTRY, 2_000, { timestamp: 2_000, instance: REGISTRY, change: leave });
    for (const instance of FOUNDERS) merge.close(instance, 3_000);
    merge.drain(() => true);
    expect(merge.watermark).toBe(700);
    merge.close(3, 2_000);
    merge.drain(() => true);
    expect(merge.watermark).toBe(3_000);
  });

  it('N4: a change that cannot be is void, and a number means one instance for ever', () => {
    const members = new Members(FOUNDERS);
    let timestamp = 0;
    const take = (kind: 'join' | 'leave', instance: number): boolean => {
      timestamp += 1;
      return members.take({ change: { kind, instance }, at: { timestamp, instance: REGISTRY } });
    };
    for (const number of [0, -1, 1.5, 65_536, NaN, 1, REGISTRY])
      expect(take('join', number)).toBe(false);
    for (const number of [3, REGISTRY]) expect(take('leave', number)).toBe(false);
    expect(take('join', 3)).toBe(true);
    expect(take('leave', 3)).toBe(true);
    expect(take('join', 3)).toBe(false);
    expect(take('leave', 1)).toBe(true);
    expect([...members.now]).toEqual([REGISTRY]);
    expect(members.changes).toHaveLength(3);
    const [joined] = members.changes;
    if (joined === undefined) throw new Error('three changes');
    // Read again from before: known, and nothing changes; what was void stays void.
    expect(members.take(joined)).toBe(true);
    const voided = { kind: 'join', instance: 9 } as const;
    expect(members.take({ change: voided, at: { timestamp: 1, instance: REGISTRY } })).toBe(false);
    expect([...members.behind(joined.at)]).toEqual([1, 2, 3]);
    expect([...members.behind({ timestamp: joined.at.timestamp, instance: 1 })]).toEqual([1, 2]);
  });
});
