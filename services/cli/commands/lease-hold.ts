/**
 * `meridian lease hold`: keeps a lease while a command runs, and ends the command before anybody else can
 * have the lease. Time is counted here from when a renewal was asked for, so that the lease is never
 * believed in longer than the journal keeps it.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { Journal } from '../../../libs/client/client.ts';
import type { JournalOptions, LeaseGrant } from '../../../libs/client/client.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { UsageError } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { aborted } from '../interrupt.ts';
import type { Invocation } from '../invocation.ts';
import { acquireWithin, defaultHolder } from '../lease-wait.ts';
import { withJournal } from '../session.ts';
import { leaseJson, leaseText } from '../stream-view.ts';

const TTL_MS = 10_000;
/** Of the time to live: renewed after a third, given up when a tenth is left. */
const RENEW_SHARE = 1 / 3;
const MARGIN_SHARE = 1 / 10;
const RETRY_MS = 100;
const KILL_AFTER_MS = 2_000;

/** What became of holding. */
interface Ending {
  readonly lost: MeridianError | null;
}

export function run(call: Invocation): Promise<number> {
  const { values, output } = call;
  const signal = call.interrupted();
  return withJournal(call, async (journal, endpoint) => {
    const stream = values.text('stream') ?? '';
    const ttlMs = values.number('ttl') ?? TTL_MS;
    const holder = values.text('holder') ?? defaultHolder();
    const waitMs = values.number('wait') ?? Infinity;
    const askedAt = performance.now();
    const lease = await acquireWithin(journal, stream, { holder, ttlMs }, waitMs, signal);
    if (lease === null) return EXIT.interrupted;
    // Waiting for another holder may have taken long; the grant itself is as young as its answer.
    const since = Math.max(askedAt, performance.now() - ttlMs * MARGIN_SHARE);
    output.line({ stream, ...leaseJson(lease) }, () => null);
    output.note(`${stream}: ${leaseText(lease)}`);
    const over = new AbortController();
    const held = keep({ journal, stream, lease, ttlMs, since, signal: over.signal });
    try {
      return await whileHeld(call, endpoint, lease, held, signal);
    } finally {
      over.abort();
      await held;
      await journal.releaseLease(stream, { holder, token: lease.token }).catch(() => false);
    }
  });
}

interface Keeping {
  readonly journal: Journal;
  readonly stream: string;
  readonly lease: LeaseGrant;
  readonly ttlMs: number;
  readonly since: number;
  readonly signal: AbortSignal;
}

/** Renews until aborted; resolves early when the lease is lost or about to be. */
async function keep({ journal, stream, lease, ttlMs, since, signal }: Keeping): Promise<Ending> {
  let heldSince = since;
  let waitMs = ttlMs * RENEW_SHARE;
  for (;;) {
    await pause(waitMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return { lost: null };
    const askedAt = performance.now();
    const left = heldSince + ttlMs * (1 - MARGIN_SHARE) - askedAt;
    if (left <= 0) {
      const message = `the lease of ${stream} could not be renewed in time`;
      return { lost: new MeridianError('UNAVAILABLE', message) };
    }
    try {
      await within(journal.renewLease(stream, lease, { ttlMs }), left);
      heldSince = askedAt;
      waitMs = ttlMs * RENEW_SHARE;
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      if (!error.retry) return { lost: error };
      waitMs = RETRY_MS;
    }
  }
}

async function whileHeld(
  call: Invocation,
  endpoint: JournalOptions,
  lease: LeaseGrant,
  held: Promise<Ending>,
  signal: AbortSignal,
): Promise<number> {
  const [program, ...args] = call.values.rest;
  if (program === undefined) {
    const ending = await Promise.race([held, aborted(signal).then(() => ({ lost: null }))]);
    if (ending.lost !== null) throw ending.lost;
    return EXIT.ok;
  }
  const child = spawn(program, args, {
    stdio: 'inherit',
    env: { ...process.env, ...environmentOf(endpoint, lease) },
  });
  const exited = exitOf(child, call);
  const ended = await Promise.race([exited, held, aborted(signal).then(() => 'aborted' as const)]);
  if (typeof ended === 'number') return ended;
  await end(child, exited);
  if (ended === 'aborted') return EXIT.interrupted;
  if (ended.lost !== null) throw ended.lost;
  return exited;
}

/** What `append` reads, so that the command needs no options. */
function environmentOf(
  { cluster, instance, replicas }: JournalOptions,
  { token }: LeaseGrant,
): Record<string, string> {
  return {
    MERIDIAN_CLUSTER: cluster,
    MERIDIAN_INSTANCE: instance,
    MERIDIAN_REPLICAS: replicas.map(({ region, address }) => `${region}=${address}`).join(','),
    MERIDIAN_FENCING_TOKEN: String(token),
  };
}

function exitOf(child: ChildProcess, call: Invocation): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(new UsageError(`the command cannot be started: ${error.message}`, call.command));
    });
    child.once('exit', (code) => {
      resolve(code ?? EXIT.interrupted);
    });
  });
}

/** Asks it to end, then makes it. */
async function end(child: ChildProcess, exited: Promise<number>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  await exited;
  clearTimeout(timer);
}

/** The renewal itself is tried for longer than there is time. */
async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new MeridianError('DEADLINE', 'no answer in time'));
    }, ms);
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
