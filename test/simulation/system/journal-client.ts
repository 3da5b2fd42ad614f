/**
 * A user of the client library at one instance: appends in bursts, under conditions and fencing tokens, by writers with
 * names that others take over; creates, configures, deletes, fences and trims streams, holds their leases, and reads.
 * The library is the real one, over simulated lines; the process dies now and then and comes back knowing nothing but its name.
 */
import type { AcquireLeaseOptions, HeldLease, Journal } from '../../../libs/client/client.ts';
import type { Writer } from '../../../libs/client/client.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import type { ControlResult } from '../../../libs/order/types.ts';
import type { Prng } from '../prng.ts';
import type { Trace } from '../trace.ts';
import { ActionReads } from './action-reads.ts';
import type { ClientChecker, Wish } from './client-checker.ts';
import type { ClientSwarm } from './client-options.ts';
import { connectedJournal } from './connected-journal.ts';
import type { Calls, Line } from './virtual-calls.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface JournalClientOptions {
  readonly number: number;
  readonly instance: string;
  readonly time: VirtualTime;
  readonly prng: Prng;
  readonly calls: Calls;
  readonly trace: Trace;
  readonly checker: ClientChecker;
  readonly swarm: ClientSwarm;
  /** To the replicas, the nearest first. */
  readonly lines: readonly Line[];
}

interface Conditions {
  readonly fencingToken?: number;
  readonly matchSeqNum?: number;
  readonly mustExist?: boolean;
}

export class JournalClient {
  restarts = 0;
  /** Its last append and its last action, after everything was healed, went well. */
  isConcluded = false;
  private readonly options: JournalClientOptions;
  private readonly name: string;
  private life = 0;
  private isClosing = false;
  private journal: Journal | null = null;
  private writer: Writer | null = null;
  private reads: ActionReads | null = null;
  /** The action under way: one at a time, so that its request id is known to be its own. */
  private action: Wish | null = null;
  private unanswered = 0;
  /** Highest token and tail that it has heard of. */
  private readonly tokens = new Map<string, number>();
  private readonly tails = new Map<string, number>();

  constructor(options: JournalClientOptions) {
    this.options = options;
    this.name = `user-${options.number}`;
  }

  start(): void {
    const { checker, trace, number, swarm } = this.options;
    this.life += 1;
    trace.note('user', number, this.life);
    const journal = connectedJournal(this.options, (requestId) => {
      if (this.action !== null) checker.named(requestId, this.action);
    });
    this.journal = journal;
    this.reads = new ActionReads(journal, this.options);
    this.action = null;
    this.unanswered = 0;
    if (this.options.prng.chance(0.6)) this.takeOver(journal);
    void this.live(journal, this.life, swarm.think);
  }

  /** Whatever it waits for, nobody hears of. */
  crash(): void {
    const { journal } = this;
    this.life += 1;
    this.journal = null;
    this.writer?.close();
    this.writer = null;
    void journal?.close({ drainMs: 0 });
  }

  restart(): void {
    if (this.journal === null || this.isClosing) return;
    this.crash();
    const { life } = this;
    this.restarts += 1;
    this.options.time.after(this.options.prng.magnitude(1_000, 2_000_000), () => {
      if (this.life === life && this.journal === null) this.start();
    });
  }

  /** Nothing new; then one append and one action that must go well. */
  conclude(): void {
    this.isClosing = true;
    if (this.journal === null) this.start();
    void this.lastThings();
  }

  get state(): string {
    return `${this.name}: ${this.unanswered} unanswered, ${this.action?.kind ?? 'no action'}`;
  }

  private async lastThings(): Promise<void> {
    const { time } = this.options;
    try {
      for (;;) {
        await this.pause(100_000);
        const { journal } = this;
        if (journal === null) return;
        if (this.unanswered > 0 || this.action !== null) continue;
        const append = await this.append(journal, 'last', 'ORDERED', {});
        const created = await this.act('create', `last-${this.name}`, {
          ask: () => journal.createStream(`last-${this.name}`),
          fits: (result, told) => result.kind === 'create' && result.created === told,
        });
        if (append && created !== null) break;
      }
      this.isConcluded = true;
    } catch (error) {
      time.fail(error);
    }
  }

  private async live(journal: Journal, life: number, think: number): Promise<void> {
    const { time, prng } = this.options;
    try {
      for (;;) {
        await this.pause(prng.exponential(think));
        if (this.life !== life || this.isClosing) return;
        await this.doSomething(journal);
      }
    } catch (error) {
      // What a dead process meets is nobody's business.
      if (this.life === life) time.fail(error);
    }
  }

  private async doSomething(journal: Journal): Promise<void> {
    const { prng, swarm } = this.options;
    const stream = this.anyStream();
    const kind = prng.unit();
    if (kind < 0.45) {
      for (let left = prng.between(1, swarm.burst); left > 0; left -= 1) this.appendSome(journal);
    } else if (kind < 0.5) this.takeOver(journal);
    else if (kind < 0.6) await this.reads?.look(stream);
    else if (kind < 0.68) await this.reads?.read(stream);
    else if (kind < 0.76) await this.trim(journal, stream);
    else if (kind < 0.83) await this.fence(journal, stream);
    else if (kind < 0.93) await this.hold(journal, stream);
    else await this.changeStream(journal, stream);
  }

  // ---- appends --------------------------------------------------------------------------------

  private appendSome(journal: Journal): void {
    const { prng } = this.options;
    const stream = this.anyStream();
    const token = this.tokens.get(stream);
    const kind = prng.unit();
    if (kind < 0.25 && this.writer !== null) void this.append(this.writer, stream, null, {});
    else if (kind < 0.45 && token !== undefined) {
      // A token of before, now and then: it must not help.
      const fencingToken = Math.max(1, token - (prng.chance(0.2) ? 1 : 0));
      void this.append(journal, stream, 'ORDERED', { fencingToken });
    } else if (kind < 0.55) {
      const matchSeqNum = this.tails.get(stream) ?? 0;
      void this.append(journal, stream, 'ORDERED', { matchSeqNum });
    } else if (kind < 0.6) void this.append(journal, stream, 'ORDERED', { mustExist: true });
    else void this.append(journal, stream, prng.chance(0.5) ? 'QUORUM' : 'ORDERED', {});
  }

  /** false: it failed. */
  private async append(
    through: Journal | Writer,
    stream: string,
    ack: 'QUORUM' | 'ORDERED' | null,
    conditions: Conditions,
  ): Promise<boolean> {
    const { prng, checker, time, trace, number, swarm } = this.options;
    const length = prng.chance(0.03) ? 600 : prng.between(0, 40);
    const count = prng.between(1, 3);
    const wish = checker.wish(
      'append',
      stream,
      Array.from({ length: count }, () => 'x'.repeat(length)),
    );
    const records = wish.bodies.map((body) => ({ body: Buffer.from(body) }));
    const { life } = this;
    this.unanswered += 1;
    const settled = (action: () => void): void => {
      if (this.life === life) this.unanswered -= 1;
      time.judge(action);
    };
    try {
      const { deadlineMs } = swarm;
      const result = await through.append(stream, records, {
        ...conditions,
        ...(ack === null ? {} : { ack }),
        deadlineMs,
      });
      settled(() => {
        trace.note('told', number, wish.id, result.timestamp);
        checker.toldAppended(wish, result.timestamp, result.firstSeqNum);
        if (result.firstSeqNum !== null) this.tails.set(stream, result.firstSeqNum + count);
      });
      return true;
    } catch (error) {
      settled(() => {
        trace.note('told', number, wish.id, 0);
        if (trace.print !== null) trace.text(number, `wish ${wish.id} failed: ${String(error)}`);
        checker.toldError(wish, error);
      });
      return false;
    }
  }

  /** Under a name that it shares with others, whose appends end by that. */
  private takeOver(journal: Journal): void {
    const { prng, swarm } = this.options;
    this.writer?.close();
    const id = `author-${prng.below(Math.max(1, swarm.clients - 1))}`;
    const ack = prng.chance(0.5) ? 'QUORUM' : 'ORDERED';
    this.writer = journal.writer({ id, ack, epoch: this.options.checker.nextEpoch() });
  }

  // ---- actions --------------------------------------------------------------------------------

  private async trim(journal: Journal, stream: string): Promise<void> {
    const { prng } = this.options;
    const before = prng.below((this.tails.get(stream) ?? 0) + 2);
    const token = this.tokens.get(stream);
    const withToken = token !== undefined && prng.chance(0.5) ? { fencingToken: token } : {};
    await this.act('trim', stream, {
      ask: () => journal.trim(stream, { before, ...withToken }),
      fits: (result, told) => result.kind === 'trim' && result.firstSeqNum === told.firstSeqNum,
    });
  }

  private async fence(journal: Journal, stream: string): Promise<void> {
    const { prng } = this.options;
    const known = this.tokens.get(stream) ?? 0;
    const options = prng.pick([{}, {}, { token: known + 2 }, { expected: known }]);
    await this.act('fence', stream, {
      ask: () => journal.fence(stream, options),
      fits: (result, told) => result.kind === 'fence' && result.token === told.token,
      done: ({ token }) => {
        this.tokens.set(stream, token);
      },
    });
  }

  /** Acquires the lease, appends under its token while it lasts, and gives it back or not. */
  private async hold(journal: Journal, stream: string): Promise<void> {
    const { prng, swarm } = this.options;
    const { life, name: holder } = this;
    const ttlMs = prng.between(200, swarm.ttlMsMax);
    const lease = await this.act('acquire', stream, {
      ask: () => this.holdLease(journal, stream, { holder, ttlMs }),
      fits: (result, { token }) => result.kind === 'acquire' && result.lease.token === token,
      done: ({ token }) => {
        this.tokens.set(stream, token);
      },
    });
    if (lease === null) return;
    for (let left = prng.between(1, 4); left > 0 && lease.isHeld && this.life === life; left -= 1) {
      void this.append(journal, stream, 'ORDERED', { fencingToken: lease.token });
      await this.pause(prng.exponential(ttlMs * 200));
    }
    if (this.life !== life || this.isClosing || prng.chance(0.3)) return;
    await this.act('release', stream, {
      ask: () => lease.release(),
      fits: (result, told) => result.kind === 'release' && result.released === told,
    });
  }

  /** Late grants are renewed at once: who hears that it failed by then was granted something all the same. */
  private async holdLease(
    journal: Journal,
    stream: string,
    options: AcquireLeaseOptions,
  ): Promise<HeldLease> {
    const { action } = this;
    try {
      return await journal.holdLease(stream, options);
    } catch (error) {
      if (action?.effect == null) throw error;
      throw new MeridianError('INDEFINITE', String(error), { cause: error });
    }
  }

  private async changeStream(journal: Journal, stream: string): Promise<void> {
    const { prng } = this.options;
    const fencing = prng.chance(0.4) ? 'required' : 'none';
    const kind = prng.pick(['create', 'configure', 'delete'] as const);
    if (kind === 'delete') {
      await this.act('delete', stream, {
        ask: () => journal.deleteStream(stream),
        fits: (result, told) => result.kind === 'delete' && result.deleted === told,
      });
    } else if (kind === 'create') {
      await this.act('create', stream, {
        ask: () => journal.createStream(stream, { fencing }),
        fits: (result, told) => result.kind === 'create' && result.created === told,
      });
    } else {
      await this.act('configure', stream, {
        ask: () => journal.configureStream(stream, { fencing }),
        fits: (result, told) =>
          result.kind === 'configure' && result.config.fencing === told.fencing,
      });
    }
  }

  /** null: it failed. */
  private async act<T>(
    kind: Wish['kind'],
    stream: string,
    {
      ask,
      fits,
      done,
    }: {
      readonly ask: () => Promise<T>;
      readonly fits: (result: ControlResult, told: T) => boolean;
      readonly done?: (told: T) => void;
    },
  ): Promise<T | null> {
    const { checker, time, trace, number } = this.options;
    const { life } = this;
    const wish = checker.wish(kind, stream);
    this.action = wish;
    try {
      const told = await ask();
      time.judge(() => {
        trace.note('told', number, wish.id, wish.effect?.timestamp ?? 0);
        checker.toldDone(wish, (result) => fits(result, told));
      });
      done?.(told);
      return told;
    } catch (error) {
      trace.note('told', number, wish.id, 0);
      time.judge(() => {
        checker.toldError(wish, error);
      });
      return null;
    } finally {
      if (this.life === life) this.action = null;
    }
  }

  private anyStream(): string {
    return `desk-${this.options.prng.below(this.options.swarm.streams)}`;
  }

  private pause(micros: number): Promise<void> {
    return new Promise((resolve) => {
      this.options.time.after(micros, resolve);
    });
  }
}
