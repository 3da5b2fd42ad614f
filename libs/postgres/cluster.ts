/**
 * Throw-away Postgres clusters, for tests and for the three regions of `npm start`: initdb, start,
 * stop, kill, start again. The data of a directory that already holds a cluster is kept.
 *
 * Loopback only, and whoever can connect is superuser (`trust`): for machines whose users one
 * trusts, never for production. It does not restart a Postgres that died; `onExit` tells. A Postgres ends with
 * the process that started it, however that ends.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MeridianError } from '../errors/errors.ts';
import { guard, release } from '../processes/guardian.ts';
import { findPrograms } from './programs.ts';
import type { Programs } from './programs.ts';
import { accountForPostgres, openWay, reachablePrograms } from './unprivileged.ts';
import type { Account } from './unprivileged.ts';

export interface ClusterOptions {
  /** Made when missing; holds `data`, `postgres.log` and the unix socket. */
  readonly directory: string;
  readonly port: number;
  /** Lines of postgresql.conf on top of `CLUSTER_SETTINGS`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default `findPrograms()`. */
  readonly programs?: Programs;
  /** Until it accepts connections; default 60,000. */
  readonly startTimeoutMs?: number;
  /** Called with the pid of the postmaster, which leads a group of its own. */
  readonly onSpawn?: (pid: number) => void;
  /** Called when the postmaster has ended, wanted or not. */
  readonly onExit?: (pid: number, code: number | null, signal: NodeJS.Signals | null) => void;
}

/** What `pg` and libpq need. */
export interface ClusterAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/** `fast`: roll back, checkpoint, end. `immediate`: as a crash, all at once. */
export type StopMode = 'fast' | 'immediate';

export interface Cluster {
  readonly directory: string;
  readonly logFile: string;
  readonly port: number;
  /** Process id of the postmaster; null when it does not run. */
  readonly pid: number | null;
  /** Default database `postgres`. */
  address(database?: string): ClusterAddress;
  /** `postgres://postgres@127.0.0.1:<port>/<database>`. */
  url(database?: string): string;
  /** Resolves when connections are accepted. */
  start(): Promise<void>;
  /** Default `fast`. */
  stop(mode?: StopMode): Promise<void>;
  /** kill -9 of the postmaster; its backends notice and end. */
  kill(): Promise<void>;
}

export const CLUSTER_SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  wal_level: 'logical',
  max_wal_senders: '20',
  max_replication_slots: '20',
  max_connections: '100',
  shared_buffers: '64MB',
  // Small machines run several clusters side by side; parallel workers would only compete.
  max_parallel_workers_per_gather: '0',
  wal_sender_timeout: '10s',
  max_wal_size: '256MB',
};

const HOST = '127.0.0.1';
const USER = 'postgres';
const LOCALE = 'C';
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
const POLL_MS = 15;
/** A path longer than this cannot be bound as a unix socket (sockaddr_un, less on macOS). */
const SOCKET_PATH_BYTES_MAX = 100;

/** Prepares the directory (initdb when it holds no cluster yet); does not start it. */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const cluster = new LocalCluster(options);
  await cluster.prepare();
  return cluster;
}

class LocalCluster implements Cluster {
  readonly directory: string;
  readonly logFile: string;
  readonly port: number;
  readonly #options: ClusterOptions;
  readonly #account: Account | null;
  readonly #programs: Programs;
  readonly #data: string;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ClusterOptions) {
    const directory = resolve(options.directory);
    this.directory = directory;
    this.logFile = join(directory, 'postgres.log');
    this.port = options.port;
    this.#options = options;
    this.#data = join(directory, 'data');
    this.#account = accountForPostgres();
    const programs = options.programs ?? findPrograms();
    mkdirSync(directory, { recursive: true });
    appendFileSync(this.logFile, '');
    if (this.#account !== null) {
      openWay(directory, this.#account);
      chownSync(directory, this.#account.uid, this.#account.gid);
      chownSync(this.logFile, this.#account.uid, this.#account.gid);
      this.#programs = reachablePrograms(programs, this.#account, directory);
    } else {
      this.#programs = programs;
    }
  }

  async prepare(): Promise<void> {
    if (!existsSync(this.#data)) await this.#initdb();
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  address(database = USER): ClusterAddress {
    return { host: HOST, port: this.port, user: USER, database };
  }

  url(database = USER): string {
    return `postgres://${USER}@${HOST}:${String(this.port)}/${encodeURIComponent(database)}`;
  }

  async start(): Promise<void> {
    if (this.#child !== null) return;
    this.#writeSettings();
    const deadline = Date.now() + (this.#options.startTimeoutMs ?? START_TIMEOUT_MS);
    while (!(await this.#tryStart(deadline))) await sleep(100);
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    await this.#end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** true: it accepts connections; false: try again, the backends of a killed one are still there. */
  async #tryStart(deadline: number): Promise<boolean> {
    const logStart = readFileSync(this.logFile).length;
    const child = this.#spawn();
    const pid = child.pid;
    if (pid === undefined) {
      await this.#ended;
      throw new MeridianError('REFUSED', `cannot run ${this.#programs.bin}/postgres`);
    }
    while (this.#child === child) {
      if (this.#ready(pid)) return true;
      if (Date.now() > deadline) {
        await this.#end('SIGQUIT');
        throw this.#failure('did not accept connections in time', logStart);
      }
      await sleep(POLL_MS);
    }
    const log = this.#logFrom(logStart);
    if (/shared memory block .* is still in use/.test(log) && Date.now() < deadline) return false;
    throw this.#failure('ended while starting', logStart);
  }

  #spawn(): ChildProcess {
    const log = openSync(this.logFile, 'a');
    const child = spawn(join(this.#programs.bin, 'postgres'), ['-D', this.#data], {
      cwd: this.directory,
      detached: true, // a group of its own: Ctrl-C in a terminal is for the parent to handle
      stdio: ['ignore', log, log],
      env: environment(),
      ...this.#identity(),
    });
    closeSync(log);
    this.#child = child;
    const pid = child.pid;
    if (pid !== undefined) {
      guard(pid, 'SIGINT'); // a fast shutdown
      this.#options.onSpawn?.(pid);
    }
    this.#ended = new Promise((done) => {
      child.once('error', () => {
        if (this.#child === child) this.#child = null;
        done();
      });
      child.once('exit', (code, signal) => {
        if (this.#child === child) this.#child = null;
        if (pid !== undefined) {
          release(pid);
          this.#options.onExit?.(pid, code, signal);
        }
        done();
      });
    });
    return child;
  }

  async #end(how: NodeJS.Signals): Promise<void> {
    const pid = this.pid;
    if (pid === null) return;
    signal(pid, how);
    const timer = setTimeout(() => {
      signal(pid, 'SIGQUIT'); // a fast shutdown waits for walsenders that never confirm
    }, STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  /** The eighth line of postmaster.pid is the state: what pg_ctl reads, without a connection. */
  #ready(pid: number): boolean {
    try {
      const lines = readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n');
      return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
    } catch {
      return false;
    }
  }

  async #initdb(): Promise<void> {
    const draft = `${this.#data}.new`;
    rmSync(draft, { recursive: true, force: true });
    const child = spawn(
      join(this.#programs.bin, 'initdb'),
      // Not synced: a power cut right now costs an empty cluster.
      ['-D', draft, '-U', USER, '-A', 'trust', '-E', 'UTF8', `--locale=${LOCALE}`, '--no-sync'],
      {
        cwd: this.directory,
        stdio: ['ignore', 'ignore', 'pipe'],
        env: environment(),
        ...this.#identity(),
      },
    );
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const status = await new Promise<number | null>((done, fail) => {
      child.once('error', fail);
      child.once('close', done);
    }).catch((error: unknown) => {
      errors += String(error);
      return null;
    });
    if (status !== 0) {
      throw new MeridianError('REFUSED', `initdb in ${this.directory} failed: ${errors.trim()}`);
    }
    renameSync(draft, this.#data);
  }

  #writeSettings(): void {
    const socket = join(this.directory, `.s.PGSQL.${String(this.port)}.lock`);
    const settings = {
      ...CLUSTER_SETTINGS,
      unix_socket_directories:
        Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX ? '' : this.directory,
      ...this.#options.settings,
      port: String(this.port),
    };
    const lines = Object.entries(settings).map(
      ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`,
    );
    writeFileSync(join(this.#data, 'meridian.conf'), lines.join(''), { mode: 0o644 });
    const main = join(this.#data, 'postgresql.conf');
    const include = "include = 'meridian.conf'";
    if (!readFileSync(main, 'utf8').includes(include)) appendFileSync(main, `\n${include}\n`);
  }

  #identity(): { uid?: number; gid?: number } {
    return this.#account === null ? {} : { uid: this.#account.uid, gid: this.#account.gid };
  }

  #logFrom(start: number): string {
    return readFileSync(this.logFile).subarray(start).toString('utf8');
  }

  #failure(what: string, logStart: number): MeridianError {
    const log = this.#logFrom(logStart).trim().split('\n').slice(-8).join('\n');
    return new MeridianError(
      'REFUSED',
      `Postgres in ${this.directory} (port ${String(this.port)}) ${what}; its log ends:\n${log}`,
      { details: { directory: this.directory, port: this.port } },
    );
  }
}

function signal(pid: number, how: NodeJS.Signals): void {
  try {
    process.kill(pid, how);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Without the PG* variables of our own environment, which would reach initdb and the backends. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('PG'));
  return { ...Object.fromEntries(kept), LC_ALL: LOCALE };
}
