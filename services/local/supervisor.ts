/**
 * Starts the members of the local cluster tier by tier (what others need first), stops them in the
 * opposite order, and starts one again that ended by itself, after a pause that doubles while it
 * keeps failing. A member that was killed on purpose stays down until it is asked back.
 *
 * It knows nothing of what a member is: a process with its readiness, or a Postgres.
 */
import { MeridianError } from '../../libs/errors/errors.ts';

export interface Member {
  readonly name: string;
  /** Null while it does not run. */
  readonly pid: number | null;
  /** Resolves when it is ready. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  /** How the current run ended, in words; never rejects. */
  ended(): Promise<string>;
}

export interface SupervisorOptions {
  /** Members of a tier start together, after all of the tier before. */
  readonly tiers: readonly (readonly Member[])[];
  /** Something a person wants to know, one line. */
  readonly onEvent: (text: string) => void;
  /** Pause before a member that ended by itself is started again; doubles up to the maximum. */
  readonly pauseMinMs?: number;
  readonly pauseMaxMs?: number;
}

interface Place {
  readonly member: Member;
  /** Down on purpose. */
  held: boolean;
  pauseMs: number;
  timer: NodeJS.Timeout | null;
}

const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 10_000;

export class Supervisor {
  readonly #tiers: readonly (readonly Place[])[];
  readonly #onEvent: (text: string) => void;
  readonly #pauseMinMs: number;
  readonly #pauseMaxMs: number;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#onEvent = options.onEvent;
    this.#pauseMinMs = options.pauseMinMs ?? PAUSE_MIN_MS;
    this.#pauseMaxMs = options.pauseMaxMs ?? PAUSE_MAX_MS;
    this.#tiers = options.tiers.map((tier) =>
      tier.map((member) => ({ member, held: false, pauseMs: this.#pauseMinMs, timer: null })),
    );
  }

  /** All or nothing: when one cannot start, the others are stopped and its error is thrown. */
  async start(): Promise<void> {
    for (const tier of this.#tiers) {
      const results = await Promise.allSettled(tier.map((place) => this.#start(place)));
      const failed = results.find((result) => result.status === 'rejected');
      if (failed === undefined) continue;
      await this.stop();
      throw failed.reason;
    }
  }

  /** Returns when nothing runs any more; what does not want to stop is killed by its member. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const tier of this.#tiers.toReversed()) {
      await Promise.all(
        tier.map(async ({ member, timer }) => {
          if (timer !== null) clearTimeout(timer);
          try {
            await member.stop();
          } catch (error) {
            this.#onEvent(`${member.name} did not stop (${message(error)}); killing it`);
            await member.kill();
          }
        }),
      );
    }
  }

  /** kill -9, and it stays down until `revive`. */
  async kill(name: string): Promise<void> {
    const place = this.#place(name);
    place.held = true;
    await place.member.kill();
  }

  async revive(name: string): Promise<void> {
    const place = this.#place(name);
    place.held = false;
    await this.#start(place);
  }

  async #start(place: Place): Promise<void> {
    if (this.#stopping) return;
    await place.member.start();
    // Asked to stop while it was starting.
    if (this.#isStopping()) await place.member.stop();
    else void this.#watch(place);
  }

  /** Waits for the end of this run and decides what follows. */
  async #watch(place: Place): Promise<void> {
    const started = performance.now();
    const how = await place.member.ended();
    if (this.#stopping || place.held) return;
    // One that ran for a while has proved that it can; one that ends at once is tried less and less.
    if (performance.now() - started > this.#pauseMaxMs) place.pauseMs = this.#pauseMinMs;
    this.#again(place, `ended (${how})`);
  }

  #again(place: Place, why: string): void {
    const pauseMs = place.pauseMs;
    place.pauseMs = Math.min(2 * pauseMs, this.#pauseMaxMs);
    this.#onEvent(`${place.member.name} ${why}; starting it again in ${String(pauseMs / 1000)} s`);
    place.timer = setTimeout(() => {
      place.timer = null;
      this.#start(place).catch((error: unknown) => {
        if (!this.#stopping && !place.held) this.#again(place, `did not start: ${message(error)}`);
      });
    }, pauseMs);
  }

  #isStopping(): boolean {
    return this.#stopping;
  }

  #place(name: string): Place {
    const place = this.#tiers.flat().find(({ member }) => member.name === name);
    if (place === undefined) throw new MeridianError('INVALID', `no member is called ${name}`);
    return place;
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
