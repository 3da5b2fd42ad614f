/**
 * The applier's connection to the target: settings, replication origin, statements in a pipeline.
 *
 * Pipelined: a flight of statements costs one round trip. The first failure of a flight is what is
 * thrown; those behind it only say that the transaction is aborted.
 */
import type pg from 'pg';
import type { MeridianError } from '../errors/errors.ts';
import { connectPostgres, fromPostgres, sqlStateOf } from './connection.ts';
import type { Patience, PostgresAddress } from './connection.ts';
import { endSessions } from './sessions.ts';

export interface TargetOptions extends Patience {
  readonly address: PostgresAddress;
  /** Name of the applier: of its position, its origin and its connection. */
  readonly name: string;
}

export interface Query {
  readonly sql: string;
  readonly parameters?: readonly (string | Buffer | null)[];
}

/** Beyond so many different texts the rest is not prepared: each costs memory on both sides. */
const PREPARED_MAX = 500;

/** What comes with such an origin is never shipped. */
export const ORIGIN_PREFIX = 'meridian';

const PERFORMANCE_SETTINGS = [
  // The journal is what makes it durable; after a crash of the target we apply again from the position.
  'SET synchronous_commit = off',
  // Joins of a few rows by key: the index, never a plan that reads the table because it was small once.
  'SET enable_hashjoin = off',
  'SET enable_mergejoin = off',
  'SET enable_seqscan = off',
  'SET plan_cache_mode = force_generic_plan',
  'SET jit = off',
];

export class TargetSession {
  readonly client: pg.Client;
  /** Triggers and foreign keys rest, as in every replica; false: we may not switch them off. */
  readonly replicaRole: boolean;
  /** The origin that marks our transactions, so that they are not shipped back; null: not permitted. */
  readonly origin: string | null;
  readonly #names = new Map<string, string>();

  static async open(
    options: TargetOptions,
    onLost: (error: MeridianError) => void,
  ): Promise<TargetSession> {
    const applicationName = `meridian apply ${options.name}`;
    const client = await connectPostgres({ ...options, applicationName, pipeline: true }, onLost);
    try {
      for (const setting of PERFORMANCE_SETTINGS) await client.query(setting);
      const replicaRole = await permitted(client, 'SET session_replication_role = replica');
      // Of an applier that was killed: it may live on until its socket times out.
      await endSessions(client, applicationName);
      const origin = await setUpOrigin(client, options.name);
      return new TargetSession(client, replicaRole, origin);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw fromPostgres(error);
    }
  }

  private constructor(client: pg.Client, replicaRole: boolean, origin: string | null) {
    this.client = client;
    this.replicaRole = replicaRole;
    this.origin = origin;
  }

  /** Sends all, then waits for all; throws the error of the first that failed, as `FlightError`. */
  flight(queries: readonly Query[]): Promise<pg.QueryResult[]> {
    const flight = this.depart();
    for (const query of queries) flight.send(query);
    return flight.land();
  }

  /** Queries that are sent as they come, and answered together. */
  depart(): Flight {
    return new Flight((query) => this.#send(query));
  }

  async close(): Promise<void> {
    await this.client.end().catch(() => undefined);
  }

  #send({ sql, parameters }: Query): Promise<pg.QueryResult> {
    if (parameters === undefined) return this.client.query(sql);
    const values = [...parameters];
    const name = this.#nameOf(sql);
    return this.client.query(name === null ? { text: sql, values } : { name, text: sql, values });
  }

  #nameOf(sql: string): string | null {
    const known = this.#names.get(sql);
    if (known !== undefined) return known;
    if (this.#names.size >= PREPARED_MAX) return null;
    const name = `meridian_${this.#names.size}`;
    this.#names.set(sql, name);
    return name;
  }
}

/** Queries on their way; what is thrown is the error of the first that failed. */
export class Flight {
  readonly #send: (query: Query) => Promise<pg.QueryResult>;
  readonly #answers: Promise<pg.QueryResult | Failed>[] = [];

  constructor(send: (query: Query) => Promise<pg.QueryResult>) {
    this.#send = send;
  }

  /** How many were sent. */
  get count(): number {
    return this.#answers.length;
  }

  send(query: Query): void {
    // Answered before anybody waits for it, maybe: a rejection would be nobody's.
    this.#answers.push(this.#send(query).catch((cause: unknown) => new Failed(cause)));
  }

  /** Waits for all; throws `FlightError`. */
  async land(): Promise<pg.QueryResult[]> {
    const results = await Promise.all(this.#answers);
    return results.map((result, i) => {
      if (result instanceof Failed) throw new FlightError(i, result.cause);
      return result;
    });
  }
}

class Failed {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

/** Which query of a flight failed, and how. */
export class FlightError extends Error {
  readonly index: number;
  readonly sqlState: string | null;

  constructor(index: number, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.index = index;
    this.sqlState = sqlStateOf(cause);
  }
}

async function permitted(client: pg.Client, sql: string, values?: string[]): Promise<boolean> {
  try {
    await client.query(sql, values);
    return true;
  } catch (error) {
    if (sqlStateOf(error) === '42501') return false;
    throw fromPostgres(error);
  }
}

/** Origins belong to the whole cluster, so their names bear the database's. */
async function setUpOrigin(client: pg.Client, applier: string): Promise<string | null> {
  const { rows } = await client.query<{ it: string }>('SELECT current_database() AS it');
  const name = `${ORIGIN_PREFIX}_${applier}_${rows[0]?.it ?? ''}`;
  const create =
    'SELECT pg_replication_origin_create($1) WHERE pg_replication_origin_oid($1) IS NULL';
  if (!(await permitted(client, create, [name]))) return null;
  const setup = 'SELECT pg_replication_origin_session_setup($1)';
  return (await permitted(client, setup, [name])) ? name : null;
}
