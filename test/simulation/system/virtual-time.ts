/**
 * Timers, clocks, chance and promises of everything that runs in a simulated process, on the virtual time of one
 * run: production code that calls `setTimeout` or `performance.now` is run as it is. Owns the places where it
 * reaches for them (`install` puts others there, `remove` the old ones back), so one run at a time in a thread.
 *
 * The scheduler's events are synchronous, and what they settle is not: after an event that may have settled a promise
 * (`touch`) the run waits until no microtask is left. Nothing else is asynchronous, so the same seed is the same run.
 */
import nodeCrypto, { createHash } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';
import { EPOCH_MICROS } from '../clocks.ts';
import type { Prng } from '../prng.ts';
import type { Scheduler } from '../scheduler.ts';

const realImmediate = setImmediate;

interface Timer {
  cancelled: boolean;
  /** Interval, microseconds; null: once. */
  readonly every: number | null;
  readonly action: () => void;
}

type Callback = (...args: unknown[]) => void;

export class VirtualTime {
  /** What was thrown first, anywhere: it ends the run. */
  failure: unknown = null;
  private readonly scheduler: Scheduler;
  private readonly prng: Prng;
  private readonly undo: (() => void)[] = [];
  private touched = false;

  constructor(scheduler: Scheduler, prng: Prng) {
    this.scheduler = scheduler;
    this.prng = prng;
  }

  install(): void {
    const setTimeout = (action: Callback, ms = 0, ...args: unknown[]): unknown =>
      this.timer(() => {
        action(...args);
      }, ms);
    const clear = (timer: Partial<Timer> | undefined): void => {
      if (timer !== undefined) timer.cancelled = true;
    };
    this.swap(globalThis, 'setTimeout', setTimeout);
    this.swap(globalThis, 'setInterval', (action: Callback, ms = 0) =>
      this.timer(action, ms, true),
    );
    this.swap(globalThis, 'setImmediate', (action: Callback, ...args: unknown[]) =>
      setTimeout(action, 0, ...args),
    );
    for (const name of ['clearTimeout', 'clearInterval', 'clearImmediate']) {
      this.swap(globalThis, name, clear);
    }
    const pause = (
      ms: number,
      value: unknown,
      given?: { signal?: AbortSignal },
    ): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const { signal } = given ?? {};
        const timer = this.timer(() => {
          signal?.removeEventListener('abort', stop);
          resolve(value);
        }, ms);
        const stop = (): void => {
          timer.cancelled = true;
          reject(signal?.reason as Error);
        };
        if (signal?.aborted === true) stop();
        else signal?.addEventListener('abort', stop, { once: true });
      });
    this.swap(timersPromises, 'setTimeout', pause);
    this.swap(timersPromises, 'setImmediate', (value: unknown) => pause(0, value));
    syncBuiltinESMExports();
    this.swap(performance, 'now', () => this.scheduler.now / 1000);
    this.swap(Date, 'now', () => Math.floor((EPOCH_MICROS + this.scheduler.now) / 1000));
    this.swap(Math, 'random', () => this.prng.unit());
    let names = 0;
    this.swap(nodeCrypto, 'randomUUID', () => `${(names += 1)}-${this.prng.below(2 ** 32)}`);
    syncBuiltinESMExports();
    // The only work that production code leaves to another thread.
    this.swap(crypto.subtle, 'digest', (_: string, bytes: Uint8Array) =>
      Promise.resolve(Uint8Array.from(createHash('sha256').update(bytes).digest()).buffer),
    );
    const rejected = (reason: unknown): void => {
      this.fail(reason);
    };
    process.on('unhandledRejection', rejected);
    this.undo.push(() => {
      process.off('unhandledRejection', rejected);
    });
  }

  remove(): void {
    for (const undo of this.undo.splice(0).reverse()) undo();
    syncBuiltinESMExports();
  }

  get now(): number {
    return this.scheduler.now;
  }

  /** An event of the asynchronous world. */
  after(micros: number, action: () => void): void {
    this.scheduler.after(Math.floor(micros), () => {
      this.enter(action);
    });
  }

  /** Goes from the synchronous world into the other. */
  enter(action: () => void): void {
    this.touched = true;
    try {
      action();
    } catch (error) {
      this.fail(error);
    }
  }

  /** A check: what it throws ends the run, whoever catches it. */
  judge<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  fail(error: unknown): void {
    this.failure ??= error ?? new Error('something was thrown');
  }

  /** As `Scheduler.runUntil`, with promises; throws the failure. */
  async runUntil(end: number, done: () => boolean): Promise<boolean> {
    for (;;) {
      if (this.touched) {
        this.touched = false;
        await new Promise((resolve) => realImmediate(resolve));
      }
      if (this.failure !== null) throw this.failure as Error;
      if (done()) return true;
      if (!this.scheduler.runNext(end)) return done();
    }
  }

  private timer(action: () => void, ms: number, repeats = false): Timer {
    const micros = Math.max(1, Math.ceil(ms * 1000));
    const timer: Timer = { cancelled: false, every: repeats ? micros : null, action };
    const due = (): void => {
      if (timer.cancelled) return;
      this.enter(timer.action);
      if (timer.every !== null) this.scheduler.after(timer.every, due);
    };
    this.scheduler.after(micros, due);
    return Object.assign(timer, { ref: () => timer, unref: () => timer });
  }

  private swap(holder: object, name: string, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(holder, name);
    Object.defineProperty(holder, name, { value, configurable: true, writable: true });
    this.undo.push(() => {
      if (before === undefined) Reflect.deleteProperty(holder, name);
      else Object.defineProperty(holder, name, before);
    });
  }
}
