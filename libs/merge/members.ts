/**
 * Which instances make up the order, at every place of it (SPEC.md, Members): a history that is part of
 * the order itself, so whoever knows the order up to a place knows the members behind it. Pure
 * bookkeeping; where the changes are read from, and how, is the owner's business.
 */
import { assert } from '../values/assert.ts';

/** After the whole entry of this instance at this timestamp. */
export interface Place {
  readonly timestamp: number;
  readonly instance: number;
}

export interface MemberChange {
  readonly kind: 'join' | 'leave';
  readonly instance: number;
}

/** A change in its place; it holds directly behind it. */
export interface PlacedChange<Change extends MemberChange = MemberChange> {
  readonly change: Change;
  readonly at: Place;
}

/** Numbers of instances, ascending. */
export type MemberSet = readonly number[];

export const INSTANCE_MAX = 65_535;
/** At once. A place in the order is told as one position for each of them (a cursor). */
export const MEMBERS_MAX = 255;

/** Negative: a comes before b. */
export function comparePlaces(a: Place, b: Place): number {
  return a.timestamp - b.timestamp || a.instance - b.instance;
}

/** `Change`: what its owner knows of a change beyond what is needed here. */
export class Members<Change extends MemberChange = MemberChange> {
  /** The instance whose journal holds the changes; it never leaves. */
  readonly registry: number;
  readonly #founders: MemberSet;
  readonly #changes: (PlacedChange<Change> & { readonly set: MemberSet })[] = [];
  /** N5: a number means one instance for ever, or what it once said would be taken for another's. */
  readonly #used: Set<number>;

  /** The first one is the registry. */
  constructor(founders: readonly number[]) {
    const [registry] = founders;
    assert(registry !== undefined, 'an order has an instance');
    assert(new Set(founders).size === founders.length, 'each instance once');
    this.registry = registry;
    this.#founders = [...founders].sort((a, b) => a - b);
    this.#used = new Set(founders);
  }

  /** Behind everything that is known. */
  get now(): MemberSet {
    return this.#changes.at(-1)?.set ?? this.#founders;
  }

  get changes(): readonly (PlacedChange<Change> & { readonly set: MemberSet })[] {
    return this.#changes;
  }

  /** Those whose entries may stand directly behind the place. */
  behind(place: Place): MemberSet {
    const last = this.#changes.findLast(({ at }) => comparePlaces(at, place) <= 0);
    return last?.set ?? this.#founders;
  }

  /**
   * Takes the next change of the registry's journal. false: it is void (N4), for everybody alike. One that
   * is known already, because the order is read from an earlier place, changes nothing and is true again.
   */
  take({ change, at }: PlacedChange<Change>): boolean {
    const { kind, instance } = change;
    assert(at.instance === this.registry, 'only the registry holds changes');
    const last = this.#changes.at(-1);
    if (last !== undefined && comparePlaces(at, last.at) <= 0) {
      return this.#changes.some((known) => comparePlaces(known.at, at) === 0);
    }
    const valid =
      Number.isInteger(instance) &&
      (kind === 'join'
        ? this.#mayJoin(instance)
        : instance !== this.registry && this.now.includes(instance));
    if (!valid) return false;
    this.#used.add(instance);
    const set =
      kind === 'join'
        ? [...this.now, instance].sort((a, b) => a - b)
        : this.now.filter((each) => each !== instance);
    this.#changes.push({ change, at, set });
    return true;
  }

  #mayJoin(instance: number): boolean {
    if (this.now.length >= MEMBERS_MAX || this.#used.has(instance)) return false;
    return instance >= 1 && instance <= INSTANCE_MAX;
  }
}
