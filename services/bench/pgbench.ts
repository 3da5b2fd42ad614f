/** Postgres's own pgbench as the load: started as a process, its log read back into a histogram. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { findPrograms } from '../../libs/postgres/programs.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import { LatencyRecorder } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';

export interface PgbenchLoad {
  readonly clients: number;
  /** How long, or how many transactions of each client. */
  readonly seconds?: number;
  readonly transactions?: number;
  /** Transactions per second of all clients together; default: as fast as COMMIT returns. */
  readonly rate?: number;
  /** COMMIT waits for nobody: to make a backlog. */
  readonly local?: boolean;
}

export interface PgbenchResult {
  readonly transactionsPerSecond: number;
  /** Of whole transactions. */
  readonly latency: Figures;
}

/** Third field of a line of its log: microseconds of the transaction. */
const MICROS_FIELD = 2;
const THREADS_MAX = 2;

/** One UPDATE, one SELECT, one INSERT a transaction, without the rows that all clients of TPC-B fight for. */
export async function runPgbench(cluster: Cluster, load: PgbenchLoad): Promise<PgbenchResult> {
  const { clients, seconds, transactions, rate, local = false } = load;
  const directory = mkdtempSync(join(tmpdir(), 'meridian-bench-pgbench-'));
  try {
    const began = performance.now();
    const said = await pgbench(cluster, local, [
      ...['-n', '-b', 'simple-update', '-M', 'prepared'],
      ...['-c', String(clients), '-j', String(Math.min(clients, THREADS_MAX))],
      ...(seconds === undefined ? [] : ['-T', String(seconds)]),
      ...(transactions === undefined ? [] : ['-t', String(transactions)]),
      ...(rate === undefined ? [] : ['-R', String(rate)]),
      ...['-l', '--log-prefix', join(directory, 'log')],
    ]);
    const elapsed = (performance.now() - began) / 1000;
    const match = /^tps = ([\d.]+)/m.exec(said);
    const recorder = new LatencyRecorder();
    for (const name of readdirSync(directory)) {
      for (const line of readFileSync(join(directory, name), 'utf8').split('\n')) {
        if (line !== '') recorder.record(Number(line.split(' ')[MICROS_FIELD]));
      }
    }
    const closed = rate === undefined ? { inflight: clients, seconds: elapsed } : null;
    return {
      transactionsPerSecond: Math.round(Number(match?.[1] ?? 0)),
      latency: recorder.figures(closed),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Its tables; `filled`: with rows. A key for the one that has none, as logical replication wants. */
export async function preparePgbench(cluster: Cluster, filled: boolean): Promise<void> {
  await pgbench(cluster, true, ['-i', '-q', '-I', filled ? 'dtgp' : 'dtp']);
}

/** Beside the server's own programs, or wherever the path has one. */
function program(): string {
  const beside = join(dirname(realpathSync(join(findPrograms().bin, 'postgres'))), 'pgbench');
  return existsSync(beside) ? beside : 'pgbench';
}

/** What it printed. Throws UNAVAILABLE with its last words when it fails. */
async function pgbench(
  cluster: Cluster,
  local: boolean,
  words: readonly string[],
): Promise<string> {
  const { host, port, user, database } = cluster.address();
  const child = await spawnChild({
    name: 'pgbench',
    command: program(),
    args: [...words, '-h', host, '-p', String(port), '-U', user, database],
    env: local ? { PGOPTIONS: '-c synchronous_commit=local' } : {},
  });
  const { code } = await child.exited;
  const said = child.lastLines(100).join('\n');
  if (code !== 0) throw new MeridianError('UNAVAILABLE', `pgbench failed (${code}): ${said}`);
  return said;
}
