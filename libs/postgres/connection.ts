/**
 * Connections to Postgres, and the one place where its errors become ours.
 *
 * Every session we open waits for nobody (`synchronous_commit`: a sidecar that set up replication
 * would otherwise wait for itself), resolves no name by accident (`search_path`), and speaks the
 * text formats in which values travel through the journal.
 */
import pg from 'pg';
import { MeridianError } from '../errors/errors.ts';
import type { Reason } from '../errors/errors.ts';
import { BoundedClient } from './bounded-client.ts';

/** A session with Postgres; its queries fail with what `fromPostgres` translates, its end is bounded. */
export type PostgresClient = pg.Client;

/** A URL (`postgres://user:password@host:port/database?sslmode=verify-full`) or its parts. */
export type PostgresAddress =
  | string
  | {
      readonly host: string;
      readonly port: number;
      readonly user: string;
      readonly database: string;
      readonly password?: string;
    };

/** For how long whoever waits for an answer waits. */
export interface Patience {
  /**
   * Its abort ends what waits, also while it connects, should Postgres not have answered `graceMs` (default
   * 2,000) later. Default: as long as Postgres takes.
   */
  readonly until?: AbortSignal;
  readonly graceMs?: number;
}

export interface ConnectOptions extends Patience {
  readonly address: PostgresAddress;
  readonly applicationName: string;
  /** `database`: may run START_REPLICATION. */
  readonly replication?: 'database';
  /** Queries are sent without waiting for the answers to those before. */
  readonly pipeline?: boolean;
  /** Until the session is there; default 10,000. */
  readonly timeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const GRACE_MS = 2_000;

/** What both ends of a replication agree on, so that text read on one side means the same on the other. */
const SESSION_SETTINGS = [
  'datestyle=ISO',
  'intervalstyle=postgres',
  'extra_float_digits=3',
  'bytea_output=hex',
  'timezone=UTC',
  'search_path=pg_catalog',
  'synchronous_commit=local',
  'default_transaction_read_only=off',
  'statement_timeout=0',
  'lock_timeout=0',
  'idle_in_transaction_session_timeout=0',
];

/** What `pg` says by itself, without a code, is about its connection. */
const CONNECTION_WORDS = /connection|terminated|timeout|closed/i;

/** Of Node: ECONNREFUSED, EPIPE, a name server that is away, a socket that was destroyed meanwhile. */
const SOCKET_CODE = /^(E[A-Z]+|EAI_AGAIN|ERR_(STREAM|SOCKET)_[A-Z_]+)$/;

const CATALOGUE_RACE = /tuple concurrently|could not open relation with OID|cache lookup failed/;

/** Values stay the text that Postgres sent. */
const TEXT_ONLY: pg.CustomTypesConfig = { getTypeParser: () => (value: string | Buffer) => value };

/**
 * `onLost` is called when the session ends without `end()`, once; queries then fail by themselves.
 * Throws UNAVAILABLE, UNAUTHENTICATED, PERMISSION_DENIED or REFUSED.
 */
export async function connectPostgres(
  options: ConnectOptions,
  onLost: (error: MeridianError) => void = () => undefined,
): Promise<PostgresClient> {
  const { address, applicationName, replication, pipeline, until } = options;
  const timeoutMs = options.timeoutMs ?? CONNECT_TIMEOUT_MS;
  const config = {
    ...(typeof address === 'string' ? { connectionString: address } : address),
    application_name: applicationName,
    connectionTimeoutMillis: timeoutMs,
    keepAlive: true,
    options: SESSION_SETTINGS.map((setting) => `-c ${setting}`).join(' '),
    client_encoding: 'UTF8',
    types: TEXT_ONLY,
    pipeline: pipeline ?? false,
    ...(replication === undefined ? {} : { replication }),
  };
  const client = new BoundedClient(config);
  if (until !== undefined) client.cutAfter(until, options.graceMs ?? GRACE_MS);
  let connected = false;
  client.on('error', (error) => {
    if (connected) onLost(fromPostgres(error));
    connected = false;
  });
  try {
    await client.connect();
  } catch (error) {
    throw fromPostgres(error, `cannot connect to ${describeAddress(address)}`);
  }
  connected = true;
  return client;
}

/** Without the password. */
export function describeAddress(address: PostgresAddress): string {
  if (typeof address !== 'string') {
    return `Postgres ${address.host}:${address.port}, database ${address.database}`;
  }
  try {
    const url = new URL(address);
    const database = decodeURIComponent(url.pathname.slice(1));
    return `Postgres ${url.hostname}:${url.port || '5432'}, database ${database || url.username}`;
  } catch {
    return 'Postgres';
  }
}

/** What a Postgres or socket error means to us; a MeridianError passes unchanged. */
export function fromPostgres(error: unknown, context?: string): MeridianError {
  if (error instanceof MeridianError) return error;
  const { code, message, detail, table, constraint } = errorFields(error);
  const reason = reasonOf(code, message);
  const text = [context, message, detail].filter((part) => part !== undefined).join(': ');
  const details = Object.fromEntries(
    Object.entries({ sqlState: code, table, constraint }).filter(
      ([, value]) => value !== undefined,
    ),
  ) as Record<string, string>;
  return new MeridianError(reason, text, { details, cause: error });
}

/**
 * What Postgres or the connection to it threw, as it is or as the cause of something, translated; null:
 * neither, so a mistake in this program, which nobody should take for an obstacle.
 */
export function maybeFromPostgres(error: unknown): MeridianError | null {
  if (error instanceof MeridianError) return error;
  if (!(error instanceof Error)) return null;
  const { code, message } = errorFields(error);
  const isTheirs =
    error instanceof pg.DatabaseError ||
    (code === undefined
      ? error.name === 'Error' && CONNECTION_WORDS.test(message)
      : SOCKET_CODE.test(code));
  return isTheirs ? fromPostgres(error) : maybeFromPostgres(error.cause);
}

/** The five-character code, when the server sent one. */
export function sqlStateOf(error: unknown): string | null {
  const { code } = errorFields(error);
  if (code === undefined || SOCKET_CODE.test(code)) return null; // EPIPE has five characters too
  return /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

interface ErrorFields {
  readonly code?: string;
  readonly message: string;
  readonly detail?: string;
  readonly table?: string;
  readonly constraint?: string;
}

function errorFields(error: unknown): ErrorFields {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return errorFields(error.errors[0]); // Node tries IPv6 and IPv4 and reports both
  }
  if (error instanceof Error) return error;
  return { message: String(error) };
}

function reasonOf(code: string | undefined, message: string): Reason {
  if (code === undefined) return CONNECTION_WORDS.test(message) ? 'UNAVAILABLE' : 'REFUSED';
  if (SOCKET_CODE.test(code)) return 'UNAVAILABLE';
  switch (code) {
    case 'XX000': // `elog`: two sessions changed one row of a catalogue, or one dropped what the other read
      return CATALOGUE_RACE.test(message) ? 'UNAVAILABLE' : 'REFUSED';
    case '28000':
    case '28P01':
      return 'UNAUTHENTICATED';
    case '42501':
      return 'PERMISSION_DENIED';
    case '40001': // serialization failure
    case '40P01': // deadlock
    case '55006': // object in use: the slot or the origin of someone who is about to leave
    case '55P03': // lock not available
      return 'UNAVAILABLE';
    default:
      // 08 connection, 53 resources (disk full, too many connections), 57 operator (shutdown,
      // cancelled), 58 system: none of them our mistake, all of them may pass.
      return /^(08|53|57|58)/.test(code) ? 'UNAVAILABLE' : 'REFUSED';
  }
}
