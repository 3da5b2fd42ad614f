/**
 * `npm start -- --check`: does the main job once by itself, in a temporary directory. Rows are
 * written in A with COMMIT waiting for two regions; linearizable reads in B and C must contain them;
 * records go through the second instance in every region. Meanwhile one replica of each instance is
 * killed with -9 and started again. At the end all replicas, merged orders and databases are
 * compared. It holds or it does not: verdict.ts.
 *
 * Every phase has a deadline, and whatever happens all processes are stopped.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { compareDatabases } from './comparison.ts';
import type { Comparison } from './comparison.ts';
import { openDatabase } from './database.ts';
import type { Interrupt } from './interrupt.ts';
import { JournalLoad } from './journal-load.ts';
import { journalName } from './journals.ts';
import { Load } from './load.ts';
import { buildLocalCluster } from './local-cluster.ts';
import type { LocalCluster } from './local-cluster.ts';
import { compareOrders, MergedOrders } from './merged-order.ts';
import type { Options } from './options.ts';
import { Replicas } from './replicas.ts';
import type { Output } from './screen.ts';
import { openStateDirectory } from './state-directory.ts';
import { anyPorts, choosePorts, REGIONS } from './topology.ts';
import { judge, renderVerdict, verdictJson } from './verdict.ts';
import type { Findings } from './verdict.ts';
import { waitLinearizable } from './workload.ts';

/** One replica of each instance: the one through which every COMMIT goes, and one far from it. */
const VICTIMS = [journalName('one', 'a'), journalName('two', 'b')];
const START_MS = 60_000;
const SETTLE_MS = 20_000;
/** Parts of the load's time before the kill, while the victims are down, and after their return. */
const BEFORE = 0.25;
const DOWN = 0.4;

/** Returns whether it held. */
export async function check(
  options: Options,
  output: Output,
  interrupt: Interrupt,
): Promise<boolean> {
  const startedAt = performance.now();
  const say = (line: string): void => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
    output.write(`${seconds} s  ${line}\n`);
  };
  const temporary = options.directory === null;
  const path = options.directory ?? mkdtempSync(join(tmpdir(), 'meridian-check-'));
  const state = openStateDirectory(path, options.fresh);
  let cluster: LocalCluster | null = null;
  let held = false;
  try {
    if (state.ports !== null) {
      throw new MeridianError(
        'REFUSED',
        `${path} holds the state of an earlier run, which the check would compare as well: ` +
          'add --fresh to delete it, or choose another --directory',
      );
    }
    const ports = await (options.firstPort === null
      ? anyPorts()
      : choosePorts(options.firstPort, null));
    state.savePorts(ports);
    say(`starting three regions in ${path}`);
    cluster = await buildLocalCluster({ directory: path, ports, onEvent: say });
    await within(START_MS, 'the start', interrupt, cluster.supervisor.start());
    const findings = await experiment(cluster, options.seconds, say, interrupt);
    const verdict = judge(findings);
    held = verdict.held;
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
    output.write(`\n${renderVerdict(findings, verdict).join('\n')}\n`);
    output.write(`${verdictJson(findings, verdict, seconds)}\n`);
    return held;
  } finally {
    await cluster?.supervisor.stop();
    state.unlock();
    // What did not hold is evidence.
    if (temporary && held) rmSync(path, { recursive: true, force: true });
    else if (temporary) output.write(`state and logs are kept in ${path}\n`);
  }
}

async function experiment(
  cluster: LocalCluster,
  seconds: number,
  say: (line: string) => void,
  interrupt: Interrupt,
): Promise<Findings> {
  const { supervisor, ports } = cluster;
  const load = new Load(cluster);
  const journalLoad = new JournalLoad(ports);
  const orders = new MergedOrders(ports);
  const replicas = new Replicas(ports);
  try {
    const { failed } = await within(SETTLE_MS, 'the first rows', interrupt, load.start());
    const broken = Promise.race([failed, journalLoad.start().failed]);
    const go = (ms: number): Promise<void> =>
      within(ms + SETTLE_MS, 'the load', interrupt, Promise.race([pause(ms), broken]));
    say('writing in A, reading in B and C');
    await go(seconds * 1000 * BEFORE);

    say(`kill -9 ${VICTIMS.join(', ')}`);
    await Promise.all(VICTIMS.map((name) => supervisor.kill(name)));
    load.replicasDown = true;
    await go(seconds * 1000 * DOWN);
    load.replicasDown = false;

    say(`starting ${VICTIMS.join(', ')} again`);
    const revivedAt = performance.now();
    const revival = async (): Promise<number> => {
      await Promise.all(VICTIMS.map((name) => supervisor.revive(name)));
      await replicas.level();
      return performance.now() - revivedAt;
    };
    const revived = within(START_MS, 'the return of the replicas', interrupt, revival());
    await Promise.race([Promise.all([revived, go(seconds * 1000 * (1 - BEFORE - DOWN))]), broken]);
    const catchUpMs = await revived;

    say('comparing');
    await within(
      SETTLE_MS,
      'the last answers',
      interrupt,
      Promise.all([load.stop(), journalLoad.stop()]),
    );
    await within(SETTLE_MS, 'the crossbars', interrupt, orders.settle());
    await within(SETTLE_MS, 'level replicas', interrupt, replicas.level());
    return {
      ...load.result(),
      merged: mergedFindings(orders, journalLoad),
      killed: VICTIMS,
      catchUpMs,
      diverged: await replicas.diverged(),
      comparison: await within(SETTLE_MS, 'the comparison', interrupt, compare(cluster)),
    };
  } finally {
    await Promise.all([load.abandon(), journalLoad.abandon()]);
    orders.close();
    replicas.close();
  }
}

function mergedFindings(orders: MergedOrders, journalLoad: JournalLoad): Findings['merged'] {
  const differences = compareOrders(orders.recorders);
  const [first] = orders.recorders;
  for (const [stream, acknowledged] of journalLoad.acknowledged) {
    const found = first?.recordsOf(stream) ?? 0;
    if (found !== acknowledged) {
      differences.push(
        `${stream}: ${String(acknowledged)} appends were acknowledged, ${String(found)} are in the order`,
      );
    }
  }
  return { records: first?.records ?? 0, differences };
}

async function compare(cluster: LocalCluster): Promise<Comparison & { databases: number }> {
  const databases = await Promise.all(
    REGIONS.map(async (region) => ({
      region,
      name: region.toUpperCase(),
      database: await openDatabase(cluster.address(region)),
    })),
  );
  try {
    await Promise.all(databases.slice(1).map(({ database }) => waitLinearizable(database)));
    return { databases: databases.length, ...(await compareDatabases(databases)) };
  } finally {
    await Promise.all(databases.map(({ database }) => database.close()));
  }
}

/** The work's result; DEADLINE when it takes longer, UNAVAILABLE on Ctrl-C. */
async function within<T>(
  ms: number,
  what: string,
  interrupt: Interrupt,
  work: Promise<T>,
): Promise<T> {
  const timer = new AbortController();
  work.catch(() => undefined); // it may fail after the race is lost
  try {
    return await Promise.race([
      work,
      pause(ms, undefined, { signal: timer.signal }).then(() => {
        throw new MeridianError('DEADLINE', `${what} took longer than ${String(ms / 1000)} s`);
      }),
      interrupt.happened.then(() => {
        throw new MeridianError('UNAVAILABLE', 'interrupted');
      }),
    ]);
  } finally {
    timer.abort();
  }
}
