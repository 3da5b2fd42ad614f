/**
 * A database that ships while it is the primary of its stream and applies while it is a replica (both
 * roles configured). Owns which of the two it is: the stream decides, by handovers (libs/postgres/SPEC.md
 * H1–H4), and the database remembers the last word it applied. The changes of role themselves are in
 * promote.ts, step-down.ts and rejoin.ts; what is told to people about them is in status.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { roleOf } from '../../libs/postgres/applied-position.ts';
import type { Role } from '../../libs/postgres/applied-position.ts';
import type { Source } from '../../libs/postgres/change-format.ts';
import { connectPostgres, fromPostgres } from '../../libs/postgres/connection.ts';
import type { Patience, PostgresClient } from '../../libs/postgres/connection.ts';
import { setReadOnly } from '../../libs/postgres/sessions.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { apply } from './apply.ts';
import type { ApplyProgress } from './apply.ts';
import type { SidecarConfig } from './config.ts';
import type { ApplyJournal, ShipJournal } from './journal-port.ts';
import { promote } from './promote.ts';
import type { Promotion } from './promote.ts';
import { rejoin } from './rejoin.ts';
import type { Rejoined } from './rejoin.ts';
import { refuseHandedOver } from './ship-place.ts';
import { identify } from './ship-start.ts';
import { ship } from './shipper.ts';
import type { ShipProgress } from './ship-progress.ts';
import { stepDown } from './step-down.ts';
import type { AppliedWatermark } from './watermark.ts';
import { WriteRefusal } from './write-refusal.ts';

export interface MemberOptions {
  readonly config: SidecarConfig;
  readonly logger: Logger;
  readonly shipTo: ShipJournal;
  readonly applyFrom: ApplyJournal;
  readonly watermark: AppliedWatermark;
  readonly ship: ShipProgress;
  readonly apply: ApplyProgress;
  /** Answers linearizable reads in SQL, as this role does, until `signal` aborts; never rejects. */
  readonly answerReads: (role: Role, signal: AbortSignal) => Promise<void>;
  /** Of what ends a member for good beside `run`. */
  readonly onEnd: (error: unknown) => void;
}

/** What a change of role works with. */
export interface RoleChange extends MemberOptions {
  readonly self: Source;
  readonly admin: PostgresClient;
  readonly signal: AbortSignal;
  /** Ends the attempt that runs; until the change is over there is no other. */
  readonly holdAttempts: () => Promise<void>;
}

/** After stepping down it leaves the stream to a successor for so long, then goes on itself. */
const AWAY_MS = 60_000;
const LOOK_MS = 500;
/** To take back what a change of role that came to its deadline has begun. */
const UNDO_MS = 30_000;

export class Member {
  readonly #options: MemberOptions;
  readonly #refusal: WriteRefusal;
  #role: Role | null = null;
  #attempt: { readonly over: AbortController; readonly ended: Promise<void> } | null = null;
  #awayUntil = 0;
  /** Journal timestamp that covers all it has shipped, since it stepped down; 0: it has not. */
  #leftAt = 0;
  #changing = false;
  /** Attempts wait for it: a change of role has the database for itself. */
  #held: Promise<void> | null = null;

  constructor(options: MemberOptions) {
    this.#options = options;
    const { config, logger, ship: status, onEnd } = options;
    const { retryMs, retryMsMax } = config.timings;
    this.#refusal = new WriteRefusal({
      ...{ address: config.postgres, applicationName: config.ship.applicationName },
      ...{ retryMs, retryMsMax, logger, status, onEnd },
    });
  }

  /** null: not known yet. */
  get role(): Role | null {
    return this.#role;
  }

  /** Whatever the database is, for as long as that works; resolves when `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#held !== null) await orAborted(this.#held, signal);
      const over = new AbortController();
      const running = this.#runOnce(AbortSignal.any([signal, over.signal]));
      this.#attempt = { over, ended: running.catch(() => undefined) };
      await running;
    }
  }

  /** A replica becomes the primary. Resolves when it ships. */
  promote(signal: AbortSignal): Promise<Promotion> {
    return this.#change('replica', signal, promote);
  }

  /** The primary leaves the stream to a successor, with everything it has committed in it. */
  stepDown(signal: AbortSignal): Promise<void> {
    return this.#change('primary', signal, async (change) => {
      await stepDown(change);
      this.#awayUntil = Date.now() + AWAY_MS;
      this.#attempt?.over.abort();
      await this.#attempt?.ended;
      this.#leftAt = await change.applyFrom.heartbeat();
    });
  }

  /** A primary that was fenced becomes a replica. */
  rejoin(signal: AbortSignal): Promise<Rejoined> {
    return this.#change('primary', signal, async (change) => {
      await this.#refusal.stop();
      await this.#refusal.endLeftovers(change.admin);
      const done = await rejoin(change, this.#leftAt);
      this.#awayUntil = 0;
      this.#leftAt = 0;
      return done;
    });
  }

  /** Once the stream is handed over: see write-refusal.ts. */
  refuseWrites(): void {
    if (!this.#changing) this.#refusal.begin();
  }

  /** After `run`. */
  close(): Promise<void> {
    return this.#refusal.stop();
  }

  async #runOnce(signal: AbortSignal): Promise<void> {
    const { config, logger, shipTo, applyFrom, watermark } = this.#options;
    const { postgres: address, timings } = config;
    const role = await this.#decide(signal);
    if (role !== this.#role) logger.info({ role }, 'role');
    this.#role = role;
    const self = await identify(address, config.ship.applicationName, signal);
    if (role === 'primary') {
      const status = this.#options.ship;
      this.#options.apply.state = 'off';
      if (status.state !== 'fenced') status.state = 'connecting';
      if (Date.now() < this.#awayUntil) await this.#stayAway(self, signal);
      const options = { address, settings: config.ship, timings, journal: shipTo, logger, status };
      const answerReads = (until: AbortSignal): Promise<void> =>
        this.#options.answerReads(role, until);
      if (!signal.aborted) await ship({ ...options, answerReads }, signal);
    } else {
      const status = this.#options.apply;
      this.#options.ship.state = 'off';
      status.state = 'connecting';
      const { drainMs } = timings;
      const options = { address, settings: config.apply, journal: applyFrom, watermark, logger };
      const over = new AbortController();
      const answering = this.#options.answerReads(role, AbortSignal.any([signal, over.signal]));
      try {
        await apply({ ...options, status, self, drainMs }, signal);
      } finally {
        over.abort();
        await answering;
      }
    }
  }

  /** What was applied last says; before anything was, the first role of the configuration. */
  async #decide(until: AbortSignal): Promise<Role> {
    const admin = await this.#connect({ until });
    try {
      const { apply: settings, roles } = this.#options.config;
      const known = await roleOf(admin, settings.name);
      return known ?? (roles[0] === 'ship' ? 'primary' : 'replica');
    } finally {
      await admin.end().catch(() => undefined);
    }
  }

  async #stayAway(self: Source, signal: AbortSignal): Promise<void> {
    const { shipTo, ship: status } = this.#options;
    status.state = 'waiting';
    status.error = 'stepped down: waits for another database to be promoted';
    while (Date.now() < this.#awayUntil && !signal.aborted) {
      await refuseHandedOver(shipTo, self);
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
    if (signal.aborted) return;
    this.#leftAt = 0;
    const admin = await this.#connect({ until: signal });
    await setReadOnly(admin, false).finally(() => admin.end().catch(() => undefined));
  }

  async #change<T>(
    role: Role,
    signal: AbortSignal,
    change: (options: RoleChange) => Promise<T>,
  ): Promise<T> {
    if (this.#changing) throw new MeridianError('REFUSED', 'another change of role is under way');
    if (this.#role !== role) {
      throw new MeridianError('REFUSED', `this database is ${this.#role ?? 'not known yet'}`, {
        details: { role: this.#role ?? '' },
      });
    }
    this.#changing = true;
    let admin: PostgresClient | null = null;
    let goOn: (() => void) | null = null;
    const holdAttempts = async (): Promise<void> => {
      this.#held = new Promise((resolve) => {
        goOn = resolve;
      });
      this.#attempt?.over.abort();
      await orAborted(this.#attempt?.ended, signal);
    };
    try {
      admin = await this.#connect({ until: signal, graceMs: UNDO_MS });
      const { config } = this.#options;
      const self = await identify(config.postgres, config.ship.applicationName, signal);
      return await change({ ...this.#options, self, admin, signal, holdAttempts });
    } catch (error) {
      throw fromPostgres(error);
    } finally {
      this.#changing = false;
      this.#held = null;
      (goOn as (() => void) | null)?.();
      await admin?.end().catch(() => undefined);
    }
  }

  #connect(patience: Patience): Promise<PostgresClient> {
    const { config } = this.#options;
    const applicationName = `${config.ship.applicationName} member`;
    return connectPostgres({ address: config.postgres, applicationName, ...patience });
  }
}

async function orAborted(ended: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    const stop = (): void => {
      reject(new MeridianError('DEADLINE', 'the attempt under way does not end'));
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true, signal: over.signal });
  });
  try {
    await Promise.race([ended, aborted]);
  } finally {
    over.abort();
  }
}
