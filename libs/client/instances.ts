/**
 * The instances of a database, as one to append to: every append goes whole into one of them, which one its
 * stream or a key decides, the same for every process with the same instances. Owns the choice, the
 * connections, and that what was answered before comes before in the merged order.
 *
 * What is read belongs to the crossbars (libs/applier): they merge the instances into the one order.
 */
import { MeridianError } from '../errors/errors.ts';
import type { RecordInput } from '../frames/batch.ts';
import { connectJournal } from './journal.ts';
import type { Journal } from './journal.ts';
import { isConditional } from './pipeline.ts';
import type {
  AppendOptions,
  AppendResult,
  InstanceAddress,
  InstancesOptions,
  SpreadOptions,
} from './types.ts';

/** What an append of `Instances` resolves with. */
export interface SpreadResult extends AppendResult {
  /** Name of the instance that has it. */
  readonly instance: string;
}

/** Connects when first needed; never fails because an instance is away. INVALID for bad options. */
export function connectInstances(options: InstancesOptions): Instances {
  return new Instances(options);
}

export class Instances {
  readonly #options: InstancesOptions;
  readonly #journals = new Map<string, Journal>();
  /** In no particular order: the choice depends on the set alone. */
  #choices: readonly string[] = [];
  #seen = 0;
  #closed = false;

  /** Use `connectInstances`. */
  constructor(options: InstancesOptions) {
    if (options.instances.length === 0) {
      throw new MeridianError('INVALID', 'a database has an instance: none is given');
    }
    this.#options = options;
    for (const instance of options.instances) this.add(instance);
  }

  /** Names of those that appends are spread over. */
  get names(): readonly string[] {
    return this.#choices;
  }

  /** The highest timestamp that any append was answered with: later ones come behind it. */
  get seen(): number {
    return this.#seen;
  }

  /** Which instance takes what is spread by this text: the stream's name unless the append says otherwise. */
  instanceOf(spreadBy: string): string {
    let best = '';
    let bestWeight = -1;
    for (const name of this.#choices) {
      const weight = weightOf(name, spreadBy);
      if (weight > bestWeight || (weight === bestWeight && name < best)) {
        best = name;
        bestWeight = weight;
      }
    }
    if (best !== '') return best;
    throw new MeridianError('UNAVAILABLE', 'every instance that was given has left the database');
  }

  /**
   * One of them, for everything but spread appends: reads, conditions on a stream whose instance is known, writers
   * and leases. INVALID for a name that was not given.
   */
  journal(name: string): Journal {
    const journal = this.#journals.get(name);
    if (journal !== undefined) return journal;
    const known = [...this.#journals.keys()].join(', ');
    throw new MeridianError('INVALID', `no instance ${name} was given; there are ${known}`);
  }

  /**
   * Appends records to a stream of one instance, as one batch: all or none, never spread. `spreadBy` decides
   * which; default: the name of the stream. It gets a timestamp above everything that an append of this
   * object was answered with before, so the merged order respects what this process knows.
   *
   * Errors: those of `Journal.append`. Where the instance has left the database, the next choice takes the
   * append, unless it has a condition: the stream it was about ends there, so REFUSED. Only there may appends
   * that were made without waiting for one another change places.
   */
  async append(
    stream: string,
    records: readonly RecordInput[],
    options: AppendOptions & SpreadOptions = {},
  ): Promise<SpreadResult> {
    const { spreadBy = stream, ...wish } = options;
    for (;;) {
      const instance = this.instanceOf(spreadBy);
      const minTimestamp = Math.max(this.#seen, wish.minTimestamp ?? 0);
      try {
        const result = await this.journal(instance).append(stream, records, {
          ...wish,
          ...(minTimestamp === 0 ? {} : { minTimestamp }),
        });
        this.#seen = Math.max(this.#seen, result.timestamp);
        return { ...result, instance };
      } catch (error) {
        if (!hasLeft(error)) throw error;
        this.remove(instance);
        if (isConditional(wish)) throw error;
      }
    }
  }

  /** An instance that has joined: of n, one key in n moves to it, and no other. INVALID for a name that is known. */
  add({ instance, replicas }: InstanceAddress): void {
    if (this.#closed) throw new MeridianError('UNAVAILABLE', 'the client was closed');
    if (this.#journals.has(instance)) {
      throw new MeridianError('INVALID', `instance ${instance} was given before`);
    }
    const { region, ...options } = this.#options;
    const hasRegion = replicas.some((replica) => replica.region === region);
    const journal = connectJournal({
      ...options,
      instance,
      replicas,
      ...(region !== undefined && hasRegion ? { region } : {}),
    });
    this.#journals.set(instance, journal);
    this.#choices = [...this.#choices, instance];
  }

  /** An instance that leaves: its keys are spread over the others, whose own stay. `journal` goes on giving it. */
  remove(instance: string): void {
    this.#choices = this.#choices.filter((name) => name !== instance);
  }

  /** As `Journal.close`, of all of them. */
  async close(options: { readonly drainMs?: number } = {}): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#journals.values()].map((journal) => journal.close(options)));
  }
}

/** The journal has decided so: it certainly had no effect. */
function hasLeft(error: unknown): boolean {
  if (!(error instanceof MeridianError)) return false;
  return error.reason === 'REFUSED' && error.details['retiredFrom'] !== undefined;
}

/**
 * Rendezvous hashing (Thaler and Ravishankar 1998): the highest weight takes the key, so a set that grows or
 * shrinks by one moves only that one's keys. FNV-1a over both names, then the finalizer of MurmurHash3, without
 * which names that differ in their last letters would weigh alike.
 */
function weightOf(instance: string, key: string): number {
  let hash = 0x811c_9dc5;
  for (const byte of Buffer.from(`${instance}\0${key}`)) {
    hash = Math.imul(hash ^ byte, 0x0100_0193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
