/**
 * `npm run bench -- pg`: what it costs that a COMMIT waits, with pgbench, in one run: for nobody, for a
 * subscriber of Postgres's own logical replication, for a journal in two regions. Then how fast the two
 * replicas make up for a backlog, and how far they are behind under a steady load. The rounds alternate, so
 * that all see the same machine: quote ratios.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { round } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import { requireAllRunning, startInstance } from './instance.ts';
import { applyRate, lagUnder } from './pg-following.ts';
import { PORTS, Sides } from './pg-sides.ts';
import type { Parts, Side } from './pg-sides.ts';
import { runPgbench } from './pgbench.ts';

export interface PgBenchOptions {
  readonly seconds: number;
  readonly clients: readonly number[];
  /** Transactions that a replica has to make up for; 0: not measured. */
  readonly backlog: number;
}

interface Row {
  readonly commit: Side['name'];
  readonly clients: number;
  readonly transactionsPerSecond: number;
  /** Of the side `logical` with as many clients. */
  readonly shareOfLogical: number | null;
  readonly latency: Figures;
  /** MiB of the two sidecars. */
  readonly memory: { readonly ship: number; readonly apply: number };
  /** Median of the last ten seconds, from a transaction's arrival at the sidecar to the journal's answer. */
  readonly shippingMs: number | null;
  /** Of a transaction, microseconds. */
  readonly processor: Parts | null;
}

interface Following {
  readonly commit: Side['name'];
  readonly appliedPerSecond: number;
  readonly loadPerSecond: number;
  readonly lag: Figures;
}

/** Sidecar and replicas compile their hot paths; shorter, and the first rows measure the compiler. */
const WARM_UP_SECONDS = 3;

export async function benchPg(options: PgBenchOptions): Promise<object> {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-bench-pg-'));
  const ports = await reservePorts(PORTS);
  const cleanUp: (() => Promise<unknown>)[] = [];
  try {
    const instance = await startInstance('pg');
    cleanUp.push(() => instance.stop());
    const onStop = (stop: () => Promise<unknown>): void => void cleanUp.push(stop);
    releasePorts(ports);
    const sides = await Sides.start({ directory, ports, instance, onStop });
    for (const { primary } of sides.list) {
      await runPgbench(primary, { clients: 8, seconds: WARM_UP_SECONDS });
    }
    const rows = await commits(sides, options);
    const following = options.backlog === 0 ? [] : await follow(sides, options, rows);
    await requireAllRunning(instance);
    return { bench: 'pg', seconds: options.seconds, rows, following, memory: sides.memory() };
  } finally {
    for (const end of cleanUp.reverse()) await end().catch(() => undefined);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function commits(sides: Sides, { clients, seconds }: PgBenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  print([
    ...['COMMIT waits', 'clients', 'per second', 'of logical', 'p50 ms', 'p99 ms', 'p99.9 ms'],
    ...['shipping ms', 'cpu µs s/j/a', 'MiB s+a'],
  ]);
  for (const count of clients) {
    let logical: number | null = null;
    for (const { name, primary } of sides.list) {
      const before = sides.processorTime();
      const measured = await runPgbench(primary, { clients: count, seconds });
      const { transactionsPerSecond, latency } = measured;
      if (name === 'logical') logical = transactionsPerSecond;
      const shareOfLogical = logical === null ? null : round(transactionsPerSecond / logical);
      const memory = sides.memory();
      const processor =
        name === 'meridian' ? since(before, sides.processorTime(), latency.count) : null;
      const shippingMs = processor === null ? null : await sides.shippingMs();
      const inside = { memory, shippingMs, processor };
      rows.push({ commit: name, clients: count, ...measured, shareOfLogical, ...inside });
      const costs = processor ?? { ship: '', journal: '', apply: '' };
      print([
        ...[name, count, transactionsPerSecond, shareOfLogical ?? ''],
        ...[latency.p50Ms, latency.p99Ms, latency.p999Ms],
        ...[shippingMs ?? '', [costs.ship, costs.journal, costs.apply].join('/')],
        processor === null ? '' : `${memory.ship}+${memory.apply}`,
      ]);
    }
  }
  return rows;
}

function since(before: Parts, after: Parts, transactions: number): Parts {
  const micros = (part: keyof Parts): number =>
    Math.round(((after[part] - before[part]) * 1e6) / Math.max(1, transactions));
  return { ship: micros('ship'), apply: micros('apply'), journal: micros('journal') };
}

/** The same load for both: half of what the slower one of them bore with few clients. */
async function follow(
  sides: Sides,
  { seconds, backlog }: PgBenchOptions,
  rows: readonly Row[],
): Promise<Following[]> {
  const borne = rows.filter(({ commit }) => commit !== 'alone');
  const least = Math.min(...borne.map(({ transactionsPerSecond }) => transactionsPerSecond));
  const loadPerSecond = Math.max(1, Math.round(least / 2));
  const following: Following[] = [];
  print(['replica', 'applied/s', 'load/s', 'lag p50 ms', 'p99 ms', 'max ms']);
  for (const side of sides.list.filter(({ replica }) => replica !== null)) {
    const lag = await lagUnder(side, loadPerSecond, seconds);
    const appliedPerSecond = await applyRate(side, backlog);
    following.push({ commit: side.name, appliedPerSecond, loadPerSecond, lag });
    print([side.name, appliedPerSecond, loadPerSecond, lag.p50Ms, lag.p99Ms, lag.maxMs]);
  }
  return following;
}

function print(cells: readonly (string | number)[]): void {
  console.log(cells.map((cell) => String(cell).padStart(13)).join(''));
}
