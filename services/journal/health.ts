/**
 * Whether this replica can do its work at the moment, judged from the lane core's own view: what the
 * health service says, and why an append is not even taken. Asks the core seldom, because nothing of
 * it changes within a few milliseconds.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Inspection } from '../../libs/lane/inspect.ts';
import { at } from '../../libs/values/assert.ts';
import type { Micros, ReplicaId } from '../../libs/values/numbers.ts';

const LOOK_MICROS = 20_000;

export interface HealthOptions {
  readonly self: ReplicaId;
  readonly inspect: () => Inspection;
  readonly noQuorumMicros: number;
  /** Told when it changes. */
  readonly onServing: (serving: boolean) => void;
  /** Both peers have been silent for `noQuorumMicros`; repeated while it lasts. */
  readonly onNoQuorum: () => void;
}

export class Health {
  readonly #options: HealthOptions;
  #lookedAt = -Infinity;
  #heardAt = -Infinity;
  /** When everything was as it should be. */
  #wellAt = -Infinity;
  #now = 0 as Micros;
  #voting = false;
  serving = false;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** `replayed`: everything the core has released has been executed. */
  look(now: Micros, replayed: boolean): void {
    if (now - this.#lookedAt < LOOK_MICROS) return;
    this.#lookedAt = now;
    this.#now = now;
    const { self, inspect, noQuorumMicros, onServing, onNoQuorum } = this.#options;
    const { voting, peers, lanes } = inspect();
    this.#voting = voting;
    const own = at(lanes, self);
    const open = own.role === 'writing' && own.writer === self;
    if (peers.some((peer) => peer.heard)) this.#heardAt = now;
    else if (this.#noQuorum) onNoQuorum();
    if (voting && open && replayed && this.#heardAt === now) this.#wellAt = now;
    // A lane that was sealed by mistake is open again within a round trip: not worth a word.
    const serving = now - this.#wellAt <= (this.serving ? noQuorumMicros : 0);
    if (serving === this.serving) return;
    this.serving = serving;
    onServing(serving);
  }

  /** Why an append would not be stamped; null when it will be, now or in a moment. */
  obstacle(): MeridianError | null {
    if (this.#lookedAt === -Infinity) return unavailable('this replica is starting');
    // Its status says so at once; who acts on that must not be told otherwise for some milliseconds.
    if (!this.#voting) this.#voting = this.#options.inspect().voting;
    if (!this.#voting) {
      return unavailable('this replica is recovering from both others and takes no appends');
    }
    return this.#noQuorum ? unavailable('this replica hears neither of the others') : null;
  }

  get #noQuorum(): boolean {
    return this.#now - this.#heardAt > this.#options.noQuorumMicros;
  }
}

function unavailable(what: string): MeridianError {
  return new MeridianError('NO_QUORUM', `${what}; append through another region`);
}
