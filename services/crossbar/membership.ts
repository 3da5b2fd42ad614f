/**
 * Who makes up the order, as far as this crossbar knows (libs/merge/SPEC.md, Members): the founders of the
 * configuration and the changes that the registry's journal holds. Shared by the trunk and all
 * subscriptions. Owns what is known up to where, the connections to the instances, and the check that
 * the journal means the same founders as the configuration.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { MemberEvent, MemberRecord, MemberRenewal } from '../../libs/frames/member-record.ts';
import { Members, comparePlaces } from '../../libs/merge/members.ts';
import type { MemberSet, Place, PlacedChange } from '../../libs/merge/members.ts';
import { assert } from '../../libs/values/assert.ts';
import type { Instance } from './instance.ts';

export interface MemberDescription {
  readonly number: number;
  readonly name: string;
  readonly replicas: MemberRecord['replicas'];
}

/** One that is or was a member. */
export interface MemberLife {
  readonly number: number;
  readonly name: string;
  /** 0: it is a founder. */
  readonly joinedAt: number;
  /** 0: it has not left. */
  readonly leftAt: number;
  /** Where it said to be when it joined; empty for a founder. */
  readonly replicas: MemberRecord['replicas'];
}

export class Membership {
  readonly members: Members<MemberEvent>;
  /** The founder with the lowest number: where it stands in the configuration says nothing. */
  readonly registry: Instance;
  readonly #founders: readonly Instance[];
  readonly #instances = new Map<number, Instance>();
  readonly #connect: (joined: MemberDescription) => Instance;
  readonly #onBehind: () => void;
  #recorded: MemberRecord['founders'] | null = null;
  #through = 0;
  #recordsRead = 0;

  constructor(
    founders: readonly Instance[],
    connect: (joined: MemberDescription) => Instance,
    onBehind: () => void,
  ) {
    this.#founders = [...founders].sort((a, b) => a.number - b.number);
    const [registry] = this.#founders;
    assert(registry !== undefined, 'a database has an instance');
    this.registry = registry;
    this.#connect = connect;
    this.#onBehind = onBehind;
    for (const founder of founders) this.#instances.set(founder.number, founder);
    this.members = new Members(this.#founders.map(({ number }) => number));
  }

  /** Every change up to here is known. */
  get through(): number {
    return this.#through;
  }

  /** Records of the stream of changes that have been read from its beginning on. */
  get recordsRead(): number {
    return this.#recordsRead;
  }

  /** Behind everything that is known. */
  get now(): MemberSet {
    return this.members.now;
  }

  knows(place: Place): boolean {
    return place.timestamp <= this.#through;
  }

  /** The order has been read up to here, its changes included. */
  reached(watermark: number): void {
    this.#through = Math.max(this.#through, watermark);
  }

  /** The stream was read: the first `count` records of it, with these changes. */
  read(count: number, changes: readonly PlacedChange<MemberRecord>[], through: number): void {
    for (const { change, at } of changes) {
      this.check(change);
      if (this.admit(change, at) !== null) this.members.take({ change, at });
    }
    this.#recordsRead = Math.max(this.#recordsRead, count);
    this.reached(Math.max(through, this.members.changes.at(-1)?.at.timestamp ?? 0));
  }

  /** Those before the record, where the records that they stood in are trimmed. */
  recall({ founders, history }: MemberRecord | MemberRenewal): void {
    this.#checkFounders(founders);
    for (const { timestamp, ...change } of history) {
      const at = { timestamp, instance: this.registry.number };
      if (this.members.take({ change, at })) continue;
      const message = `the journal of ${this.registry.name} tells of a ${change.kind} of ${change.name} at ${timestamp} that cannot have been`;
      throw new MeridianError('CORRUPT', message);
    }
  }

  /**
   * The founders that the first change names stand for ever. REFUSED when they are not those of the
   * configuration here: two crossbars would disagree. Changes come in their order, or were here before.
   */
  check(change: MemberRecord): void {
    this.#checkFounders(change.founders);
  }

  /**
   * The change, or null where it is void for everybody, besides what the order itself says of its numbers
   * (N4): it names other founders, or gives the name of an instance to another one.
   */
  admit(change: MemberRecord, place: Place): MemberRecord | null {
    if (textOf(change.founders) !== textOf(this.#founders)) return null;
    if (change.kind === 'leave') return change;
    const taken =
      this.#founders.some(({ name }) => name === change.name) ||
      this.members.changes.some(
        (known) =>
          known.change.kind === 'join' &&
          known.change.name === change.name &&
          comparePlaces(known.at, place) < 0,
      );
    return taken ? null : change;
  }

  /** See `RegistryChanges`. */
  known(after: number, upTo: number): { timestamp: number; change: MemberRecord }[] {
    if (upTo > this.#through) {
      this.#onBehind();
      const message = `records of ${this.registry.name} up to ${upTo} are gone, and changes of the members are known up to ${this.#through} only`;
      throw new MeridianError('UNAVAILABLE', message);
    }
    const founders = this.#founders.map(({ number, name }) => ({ number, name }));
    return this.members.changes
      .filter(({ at }) => at.timestamp > after && at.timestamp <= upTo)
      .map(({ at, change }) => ({
        timestamp: at.timestamp,
        change: { ...change, founders, history: [] },
      }));
  }

  /** A member, or one that was. */
  instance(number: number): Instance {
    const known = this.#instances.get(number);
    if (known !== undefined) return known;
    const joined = this.#joinOf(number);
    assert(joined !== undefined, `instance ${number} has joined`);
    const { name, replicas } = joined.change;
    const instance = this.#connect({ number, name, replicas });
    this.#instances.set(number, instance);
    return instance;
  }

  /** Ascending by number; those that have left too. */
  lives(): MemberLife[] {
    const joined = this.members.changes.filter(({ change }) => change.kind === 'join');
    return [
      ...this.#founders.map(({ number, name }) => ({ number, name, joinedAt: 0, replicas: [] })),
      ...joined.map(({ change, at }) => ({
        number: change.instance,
        name: change.name,
        joinedAt: at.timestamp,
        replicas: change.replicas,
      })),
    ]
      .map((life) => ({ ...life, leftAt: this.#leftAt(life.number) }))
      .sort((a, b) => a.number - b.number);
  }

  /** The members at some place before this one were exactly these. */
  everWere(numbers: MemberSet, before: Place): boolean {
    const same = (set: MemberSet): boolean => set.join() === numbers.join();
    const { changes } = this.members;
    if (same(this.members.behind({ timestamp: 0, instance: 0 }))) return true;
    return changes.some(({ at, set }) => comparePlaces(at, before) <= 0 && same(set));
  }

  /** A change stands at this very place, and the members before it were exactly these. */
  wereBefore(numbers: MemberSet, place: Place): boolean {
    const { changes } = this.members;
    const found = changes.findIndex(({ at }) => comparePlaces(at, place) === 0);
    if (found < 0) return false;
    const before = changes[found - 1]?.set ?? this.members.behind({ timestamp: 0, instance: 0 });
    return before.join() === numbers.join();
  }

  close(): void {
    for (const instance of this.#instances.values()) instance.close();
  }

  #checkFounders(founders: MemberRecord['founders']): void {
    this.#recorded ??= founders;
    const recorded = textOf(this.#recorded);
    const configured = textOf(this.#founders);
    if (recorded === configured) return;
    throw new MeridianError(
      'REFUSED',
      `the configuration names the instances ${configured}, the journal of ${this.registry.name} says that the ` +
        `database began with ${recorded}: configure exactly those; who joined later is not configured`,
      { details: { expected: recorded, actual: configured } },
    );
  }

  #joinOf(number: number): PlacedChange<MemberEvent> | undefined {
    return this.members.changes.find(
      ({ change }) => change.kind === 'join' && change.instance === number,
    );
  }

  #leftAt(number: number): number {
    const left = this.members.changes.find(
      ({ change }) => change.kind === 'leave' && change.instance === number,
    );
    return left?.at.timestamp ?? 0;
  }
}

function textOf(refs: readonly { readonly number: number; readonly name: string }[]): string {
  return refs.map(({ number, name }) => `${number} (${name})`).join(', ');
}
