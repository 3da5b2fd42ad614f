/**
 * Money in Postgres: clients at the primary move amounts between accounts, in one transaction with a row
 * that says so; at every replica clients read all accounts linearizably, by waiting first until
 * everything that was committed before is there. At the end all databases are compared row by row.
 *
 * Nobody reads at the primary: while a COMMIT waits for its standby, a replica may show it already and
 * the primary itself not yet, as with any synchronous standby of Postgres.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { checkBank } from '../../checkers/bank.ts';
import { checkDatabases } from '../../checkers/databases.ts';
import type { History } from '../../model/history.ts';
import type { Answer } from '../../model/operation.ts';
import { Random } from '../../random.ts';
import { rest } from '../clients.ts';
import type { DatabaseEndpoint } from '../endpoints.ts';
import type { Traffic, Workload } from '../workload.ts';

const NAME = 'bank';
const ACCOUNTS = ['alice', 'bob', 'carol', 'dave', 'erin'];
const OPENING = 1_000;
const TELLERS = 3;
const READERS_PER_REPLICA = 1;
const PAUSE_MS = 30;
const QUERY_MS = 8_000;
const FINISH_MS = 60_000;
/** Rolled back, says Postgres, whatever was sent. */
const ROLLED_BACK = /^(40|23)/;

export const bank: Workload = {
  name: NAME,
  about: 'transfers at the primary, all accounts read linearizably at every replica',
  needs: { instances: 1, crossbars: true, databases: true },
  async run(traffic, until) {
    await prepare(traffic, until);
    const { databases } = traffic.endpoints;
    await Promise.all([
      ...Array.from({ length: TELLERS }, (_, i) => runTeller(traffic, i, until)),
      ...databases
        .filter(({ role }) => role === 'replica')
        .flatMap((database) =>
          Array.from({ length: READERS_PER_REPLICA }, (_, i) =>
            runReader(traffic, database, i, until),
          ),
        ),
    ]);
  },
  async finish(traffic) {
    for (const database of traffic.endpoints.databases) await recordRows(traffic, database);
  },
  judge: (history: History) => {
    const databases = [...new Set(history.rows.map(({ database }) => database))];
    const replicas = databases.filter((name) => name !== 'primary');
    const rules = { accounts: ACCOUNTS, opening: OPENING };
    return [checkBank(history, rules), checkDatabases(history, 'primary', replicas)];
  },
};

interface Tables {
  readonly accounts: string;
  readonly transfers: string;
}

function tablesOf(run: string): Tables {
  const prefix = run.replaceAll('-', '_');
  return { accounts: `public."${prefix}_accounts"`, transfers: `public."${prefix}_transfers"` };
}

/** Tables and accounts at the primary; the sidecars bring them to the replicas. */
async function prepare({ endpoints, run }: Traffic, until: AbortSignal): Promise<void> {
  const { accounts, transfers } = tablesOf(run);
  const rows = ACCOUNTS.map((name) => `('${name}', ${OPENING})`).join(', ');
  while (!until.aborted) {
    const session = await open(primaryOf(endpoints.databases)).catch(() => null);
    try {
      await session?.query(
        `CREATE TABLE IF NOT EXISTS ${accounts} (name text PRIMARY KEY, amount bigint NOT NULL)`,
      );
      await session?.query(
        `CREATE TABLE IF NOT EXISTS ${transfers} (client text, number integer, debited text,
           credited text, amount bigint, PRIMARY KEY (client, number))`,
      );
      // Writes in any case: what was committed here and confirmed to nobody before a kill must be waited for too.
      await session?.query(
        `INSERT INTO ${accounts} VALUES ${rows} ON CONFLICT (name) DO UPDATE SET amount = ${OPENING}`,
      );
      if (session !== null) return;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    } finally {
      await close(session);
    }
    await rest(200, until);
  }
}

async function runTeller(traffic: Traffic, i: number, until: AbortSignal): Promise<void> {
  const { endpoints, record, seed, run } = traffic;
  const primary = primaryOf(endpoints.databases);
  const random = new Random(seed).fork(`teller ${i}`);
  let session: pg.Client | null = null;
  let client = '';
  let number = 0;
  for (let life = 0; !until.aborted;) {
    if (session === null) {
      session = await open(primary).catch(() => null);
      if (session === null) {
        await rest(100, until);
        continue;
      }
      // A transfer whose outcome is unknown is the last one of its client.
      life += 1;
      client = `${run}-teller-${i}-${life}`;
      number = 0;
    }
    number += 1;
    const [from = '', to = ''] = random.shuffle(ACCOUNTS);
    const amount = random.integer(1, 20);
    const actor = { workload: NAME, client, region: primary.region };
    const id = record.invoke(actor, { kind: 'transfer', number, from, to, amount });
    const end = await transfer(session, tablesOf(run), { client, number, from, to, amount });
    record.complete(
      id,
      end.kind === 'ok' ? { kind: 'ok', answer: {} } : { kind: end.kind, reason: end.reason },
    );
    if (end.kind === 'unknown' || end.isLost) {
      await close(session);
      session = null;
    }
    await rest(random.next() * 2 * PAUSE_MS, until);
  }
  await close(session);
}

interface Transfer {
  readonly client: string;
  readonly number: number;
  readonly from: string;
  readonly to: string;
  readonly amount: number;
}

type End =
  | { readonly kind: 'ok'; readonly isLost: false }
  | { readonly kind: 'failed' | 'unknown'; readonly reason: string; readonly isLost: boolean };

/** Whatever fails before COMMIT is sent has no effect; afterwards only Postgres can say so. */
async function transfer(session: pg.Client, tables: Tables, it: Transfer): Promise<End> {
  let isSent = false;
  const { accounts, transfers } = tables;
  const move = `UPDATE ${accounts} SET amount = amount + $1 WHERE name = $2`;
  try {
    await session.query('BEGIN');
    // Always in the same order, so that two transfers never wait for each other.
    const moves: [number, string][] = [
      [-it.amount, it.from],
      [it.amount, it.to],
    ];
    for (const [amount, name] of moves.sort(([, a], [, b]) => (a < b ? -1 : 1))) {
      await session.query(move, [amount, name]);
    }
    const row = [it.client, it.number, it.from, it.to, it.amount];
    await session.query(`INSERT INTO ${transfers} VALUES ($1, $2, $3, $4, $5)`, row);
    isSent = true;
    await session.query('COMMIT');
    return { kind: 'ok', isLost: false };
  } catch (error) {
    const code = codeOf(error);
    const isCertain = !isSent || ROLLED_BACK.test(code);
    if (isCertain) {
      const isLost = !(await session.query('ROLLBACK').then(
        () => true,
        () => false,
      ));
      return { kind: 'failed', reason: code, isLost };
    }
    return { kind: 'unknown', reason: code, isLost: true };
  }
}

async function runReader(
  traffic: Traffic,
  database: DatabaseEndpoint,
  i: number,
  until: AbortSignal,
): Promise<void> {
  const { record, seed, run } = traffic;
  const { region } = database;
  const client = `${region}/${NAME}-reader-${i}`;
  const random = new Random(seed).fork(client);
  let session: pg.Client | null = null;
  while (!until.aborted) {
    session ??= await open(database).catch(() => null);
    const here = session;
    if (here === null) {
      await rest(100, until);
      continue;
    }
    const actor = { workload: NAME, client, region };
    const answer = await record.run(actor, { kind: 'balances' }, () =>
      readBalances(here, tablesOf(run)),
    );
    if (answer === null) {
      await close(session);
      session = null;
    }
    await rest(random.next() * 2 * PAUSE_MS, until);
  }
  await close(session);
}

/** Errors: UNAVAILABLE; a read has no effect. */
async function readBalances(session: pg.Client, { accounts, transfers }: Tables): Promise<Answer> {
  try {
    await session.query(`SELECT meridian.wait_linearizable('5 s')`);
    // One statement sees one snapshot.
    const { rows } = await session.query<{ kind: string; name: string; a: string; b: string }>(
      `SELECT 'account' AS kind, name, amount::text AS a, '0' AS b FROM ${accounts}
       UNION ALL
       SELECT 'client', client, count(*)::text, max(number)::text FROM ${transfers} GROUP BY client`,
    );
    const balances: Record<string, number> = {};
    const seen: Record<string, readonly [number, number]> = {};
    for (const { kind, name, a, b } of rows) {
      if (kind === 'account') balances[name] = Number(a);
      else seen[name] = [Number(a), Number(b)];
    }
    return { balances, seen };
  } catch (error) {
    throw new MeridianError('UNAVAILABLE', `read: ${codeOf(error)}`, { cause: error });
  }
}

/** Waits until everything is applied, then writes every row down. */
async function recordRows({ record, run }: Traffic, database: DatabaseEndpoint): Promise<void> {
  const name = database.role === 'primary' ? 'primary' : database.region;
  const { accounts, transfers } = tablesOf(run);
  const ends = performance.now() + FINISH_MS;
  for (;;) {
    const session = await open(database).catch(() => null);
    try {
      if (session !== null) {
        if (database.role === 'replica') {
          await session.query(`SELECT meridian.wait_linearizable('5 s')`);
        }
        const asText = { rowMode: 'array' as const };
        for (const [table, key] of [
          [accounts, 'name'],
          [transfers, `client || ' ' || number`],
        ]) {
          const text = `SELECT (${key})::text, to_jsonb(t)::text FROM ${table} t ORDER BY 1`;
          const { rows } = await session.query<[string, string]>({ text, ...asText });
          for (const [id, columns] of rows) {
            record.row({ database: name, table: table ?? '', key: id, columns: [columns] });
          }
        }
        return;
      }
    } catch (error) {
      if (performance.now() > ends) throw error;
    } finally {
      await close(session);
    }
    if (performance.now() > ends) throw new MeridianError('DEADLINE', `no session with ${name}`);
    await pause(200);
  }
}

function primaryOf(databases: readonly DatabaseEndpoint[]): DatabaseEndpoint {
  const primary = databases.find(({ role }) => role === 'primary');
  if (primary === undefined) throw new MeridianError('INVALID', 'no primary database');
  return primary;
}

async function open({ host, port, user, database }: DatabaseEndpoint): Promise<pg.Client> {
  const session = new pg.Client({
    host,
    port,
    user,
    database,
    application_name: 'meridian-bank',
    connectionTimeoutMillis: QUERY_MS,
    query_timeout: QUERY_MS,
  });
  // What is under way fails by itself; this event would otherwise end the process.
  session.on('error', () => undefined);
  await session.connect();
  return session;
}

async function close(session: pg.Client | null): Promise<void> {
  await Promise.race([session?.end().catch(() => undefined), pause(1_000)]);
}

/** SQLSTATE, or what the driver calls it. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'no answer';
}
