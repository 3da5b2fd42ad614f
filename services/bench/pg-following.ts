/** How fast a replica follows: the rate at which it makes up for a backlog, and its lag under a steady load. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresClient } from '../../libs/postgres/connection.ts';
import { LatencyRecorder } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { until, withClient } from './pg-sides.ts';
import type { Side } from './pg-sides.ts';
import { runPgbench } from './pgbench.ts';

const CLIENTS = 4;
const LOOK_MS = 10;
const PROBE_MS = 50;
const PROBE_LOOK_MS = 2;
const CAUGHT_UP_MS = 300_000;

/** Transactions per second while a backlog of so many is applied. */
export async function applyRate(side: Side, backlog: number): Promise<number> {
  const { primary, replica } = side;
  if (replica === null) return 0;
  await side.pauseApply();
  await runPgbench(primary, {
    ...{ clients: CLIENTS, transactions: Math.ceil(backlog / CLIENTS), local: true },
  });
  const wanted = await withClient(primary, async (client) => {
    if (side.name === 'meridian') await shipped(client);
    return historyOf(client);
  });
  return withClient(replica, async (client) => {
    const before = await historyOf(client);
    const deadline = performance.now() + CAUGHT_UP_MS;
    await side.resumeApply();
    // Counted from the first one, however long whatever applies takes to start.
    let first = { at: 0, count: before };
    for (;;) {
      const count = await historyOf(client);
      const at = performance.now();
      if (first.at === 0 && count > before) first = { at, count };
      if (count >= wanted) return Math.round((count - first.count) / ((at - first.at) / 1000));
      if (at > deadline) throw new MeridianError('DEADLINE', `${side.name} does not catch up`);
      await sleep(LOOK_MS);
    }
  });
}

/** From when a COMMIT has returned at the primary until its row is seen at the replica. */
export async function lagUnder(side: Side, rate: number, seconds: number): Promise<Figures> {
  const { primary, replica } = side;
  const recorder = new LatencyRecorder();
  if (replica === null) return recorder.figures(null);
  const load = runPgbench(primary, { clients: CLIENTS, seconds, rate });
  let over = false;
  const ended = load.finally(() => {
    over = true;
  });
  await withClient(primary, (writer) =>
    withClient(replica, async (reader) => {
      for (let id = 1; !over; id++) {
        await writer.query('INSERT INTO public.probe VALUES ($1)', [String(id)]);
        const committed = performance.now();
        while ((await newest(reader)) < id) await sleep(PROBE_LOOK_MS);
        recorder.record((performance.now() - committed) * 1000);
        await sleep(PROBE_MS);
      }
    }),
  );
  await ended;
  return recorder.figures(null);
}

/** Everything committed up to now is in the journal. */
async function shipped(client: PostgresClient): Promise<void> {
  const { rows } = await client.query<{ at: string }>('SELECT pg_current_wal_lsn()::text AS at');
  await client.query("SELECT pg_logical_emit_message(true, 'bench', '')");
  await until(client, `SELECT FROM pg_stat_replication WHERE flush_lsn >= '${rows[0]?.at ?? ''}'`);
}

async function historyOf(client: PostgresClient): Promise<number> {
  // Without aborts there is no hole in the numbers, and to count the rows would cost what is measured.
  const sql = 'SELECT coalesce(max(id), 0)::text AS n FROM public.pgbench_history';
  return Number((await client.query<{ n: string }>(sql)).rows[0]?.n ?? 0);
}

async function newest(client: PostgresClient): Promise<number> {
  const sql = 'SELECT coalesce(max(id), 0)::text AS n FROM public.probe';
  return Number((await client.query<{ n: string }>(sql)).rows[0]?.n ?? 0);
}
