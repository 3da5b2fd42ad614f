/** The adversary above the instances: strikes crossbars, consumers and the lines between processes. */
import type { StrikeNumbers } from '../strike-numbers.ts';
import { Prng } from '../prng.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Trace } from '../trace.ts';
import type { ApplierProcess, Subscriber } from './consumers.ts';
import type { CrossbarProcess } from './crossbar-process.ts';
import type { JournalClient } from './journal-client.ts';
import { SYSTEM_FAULTS, type SystemFault, type SystemOptions } from './system-options.ts';
import type { SimulatedStore } from './simulated-store.ts';
import type { Calls, Line } from './virtual-calls.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface SystemParts {
  readonly scheduler: Scheduler;
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly numbers: StrikeNumbers;
  readonly calls: Calls;
  readonly crossbars: readonly CrossbarProcess[];
  readonly appliers: readonly ApplierProcess[];
  readonly subscribers: readonly Subscriber[];
  readonly lines: readonly Line[];
  readonly stores: readonly SimulatedStore[];
  readonly users: readonly JournalClient[];
}

export class SystemFaults {
  private readonly options: SystemOptions;
  private readonly p: SystemParts;
  private readonly gaps: Prng;
  private active = true;
  /** Times each kind has struck. */
  readonly counts = new Map<SystemFault, number>();

  constructor(options: SystemOptions, parts: SystemParts) {
    this.options = options;
    this.p = parts;
    this.gaps = new Prng(options.seed, 'system faults');
  }

  start(): void {
    for (const fault of SYSTEM_FAULTS) {
      const mean = this.options.faults[fault];
      if (mean !== undefined) this.plan(fault, mean);
    }
  }

  heal(): void {
    this.active = false;
    for (const line of this.p.lines) {
      const wasCut = line.cuts > 0;
      line.cuts = 0;
      line.mutes = 0;
      if (wasCut) this.p.calls.break(line);
    }
    for (const crossbar of this.p.crossbars) {
      crossbar.paused = false;
      this.p.time.enter(() => {
        crossbar.start();
      });
    }
    for (const { database } of this.p.appliers) database.healed = true;
    for (const store of this.p.stores) store.heal();
  }

  private plan(fault: SystemFault, mean: number): void {
    this.p.scheduler.after(this.gaps.exponential(mean), () => {
      if (!this.active) return;
      this.maybeStrike(fault);
      this.plan(fault, mean);
    });
  }

  private maybeStrike(fault: SystemFault): void {
    const number = this.p.numbers.next();
    const { seed, strikes } = this.options;
    if (strikes !== null && !strikes.has(number)) return;
    this.p.trace.text(-1, `strike ${number}: ${fault}`);
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    this.p.time.enter(() => {
      this.strike(fault, new Prng(seed, `system strike ${number}`));
    });
  }

  private strike(fault: SystemFault, prng: Prng): void {
    const { crossbars, appliers, subscribers, lines, calls } = this.p;
    switch (fault) {
      case 'crossbarCrash': {
        const crossbar = prng.pick(crossbars);
        crossbar.crash();
        this.later(prng.magnitude(10_000, 3_000_000), () => {
          crossbar.start();
        });
        return;
      }
      case 'crossbarPause': {
        const crossbar = prng.pick(crossbars);
        crossbar.paused = true;
        this.later(prng.magnitude(20_000, 4_000_000), () => {
          crossbar.paused = false;
        });
        return;
      }
      case 'applierCrash':
        prng.pick(appliers).restart();
        return;
      case 'subscriberLeaves':
        prng.pick(subscribers).leaveAndReturn(prng.chance(0.25));
        return;
      case 'lineCut': {
        const line = prng.pick(lines);
        line.cuts += 1;
        this.later(prng.magnitude(50_000, 5_000_000), () => {
          line.cuts -= 1;
          // Or nobody has noticed, and what was sent meanwhile arrives.
          if (line.cuts === 0 && prng.chance(0.7)) calls.break(line);
        });
        return;
      }
      case 'lineMute': {
        const line = prng.pick(lines);
        line.mutes += 1;
        this.later(prng.magnitude(50_000, 5_000_000), () => {
          line.mutes -= 1;
        });
        return;
      }
      case 'userCrash':
        if (this.p.users.length > 0) prng.pick(this.p.users).restart();
        return;
      case 'lineReset':
        calls.break(prng.pick(lines));
        return;
      case 'storeOutage': {
        const store = this.p.stores.length === 0 ? null : prng.pick(this.p.stores);
        if (store === null) return;
        store.outages += 1;
        this.later(prng.magnitude(50_000, 6_000_000), () => {
          store.outages -= 1;
        });
        return;
      }
    }
  }

  private later(delay: number, action: () => void): void {
    this.p.time.after(delay, () => {
      if (this.active) action();
    });
  }
}
