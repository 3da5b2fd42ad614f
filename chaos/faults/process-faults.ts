/**
 * What happens to processes: killed, paused, stalled, restarted over and over or one after another; and
 * what happens to their clocks. Healing starts again what the fault has ended.
 */
import type { Part } from '../cluster/cluster.ts';
import type { Replica } from '../cluster/replica.ts';
import type { Random } from '../random.ts';
import type { Fault } from './fault.ts';
import { allOf, ongoing, pause } from './fault.ts';

/** kill -9 of all of them at the same time; they come back when it is healed. */
export function kill(parts: readonly Part[]): Fault {
  return {
    name: 'kill -9',
    target: namesOf(parts),
    inject: () => allOf(parts.map((part) => () => part.kill())),
    heal: () => allOf(parts.map((part) => () => revived(part))),
  };
}

/** SIGSTOP; SIGCONT when it is healed. */
export function freeze(parts: readonly Signalled[]): Fault {
  const signal = (which: NodeJS.Signals): Promise<void> => {
    for (const part of parts) part.signal(which);
    return Promise.resolve();
  };
  return {
    name: 'SIGSTOP',
    target: namesOf(parts),
    inject: () => signal('SIGSTOP'),
    heal: () => signal('SIGCONT'),
  };
}

/** Killed again as soon as it serves, or before: after a time that the seed chooses. */
export function restartLoop(
  replica: Replica,
  random: Random,
  ms: readonly [number, number],
): Fault {
  return ongoing(
    'restart loop',
    replica.name,
    async (healing) => {
      await replica.kill();
      await replica.launch();
      await pause(random.integer(...ms), healing);
    },
    async () => {
      await replica.kill();
      await replica.start();
    },
  );
}

/** One after another is stopped in its own orderly way and started; over when all have been. */
export async function restartEach(replicas: readonly Replica[], betweenMs: number): Promise<void> {
  for (const replica of replicas) {
    await replica.stop();
    await replica.start();
    await pause(betweenMs);
  }
}

/** Event loops stand still for two seconds, again and again. */
export function stalls(
  replica: Replica,
  random: Random,
  everyMs: readonly [number, number],
): Fault {
  return ongoing('event loop stalls', replica.name, async (healing) => {
    replica.stall();
    await pause(random.integer(...everyMs), healing);
  });
}

/** Its wall clock is wrong by so much. */
export function clockJump(replica: Replica, offsetMs: number): Fault {
  return clock(replica, `clock ${offsetMs > 0 ? '+' : ''}${String(offsetMs / 1000)} s`, () => ({
    offsetMs,
  }));
}

export function clockDrift(replica: Replica, driftPpm: number): Fault {
  return clock(replica, `clock drifts ${String(driftPpm)} ppm`, () => ({ driftPpm }));
}

/** Its wall clock jumps to and fro, by less than would make it the odd one out for good. */
export function clockStrobe(replica: Replica, random: Random, ms: number): Fault {
  return ongoing(
    `clock strobes ± ${String(ms)} ms`,
    replica.name,
    async (healing) => {
      replica.setClock({ offsetMs: random.integer(-ms, ms) });
      await pause(random.integer(20, 200), healing);
    },
    () => {
      replica.setClock({});
      return Promise.resolve();
    },
  );
}

interface Signalled {
  readonly name: string;
  signal(signal: NodeJS.Signals): void;
}

function clock(
  replica: Replica,
  name: string,
  skew: () => { offsetMs?: number; driftPpm?: number },
): Fault {
  return {
    name,
    target: replica.name,
    inject: () => {
      replica.setClock(skew());
      return Promise.resolve();
    },
    heal: () => {
      replica.setClock({});
      return Promise.resolve();
    },
  };
}

async function revived(part: Part): Promise<void> {
  if (!part.running) await part.start();
}

export function namesOf(parts: readonly { readonly name: string }[]): string {
  return parts.map(({ name }) => name).join(', ');
}
