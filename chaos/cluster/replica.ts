/**
 * One replica of one instance as the harness holds it: its process, its directory, and the files by
 * which what is loaded into the process is told to misbehave (faults/preload). Starting and ending it
 * is here; what to do when is a fault's business. It does not restart by itself.
 */
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runService, ServiceProcess } from '../../libs/processes/service.ts';
import { ROOT } from './root.ts';
import type { Region } from './wide-area.ts';

const PRELOADS = ['skewed-clock.mjs', 'stall.mjs', 'disk.mjs'];
const READY_MS = 60_000;

export interface ReplicaOptions {
  readonly instance: string;
  readonly region: Region;
  /** 0, 1 or 2. */
  readonly number: number;
  /** Of the cluster; the replica's own files are below. */
  readonly directory: string;
  /** Port for clients, without a proxy. */
  readonly clientPort: number;
  /** What services/journal reads, but for the data directory. */
  readonly config: object;
}

/** How its disk behaves, see faults/preload/disk.mjs. */
export interface DiskBehaviour {
  readonly writeDelayMs?: number;
  readonly failWrites?: 'EIO' | 'ENOSPC';
  /** What the file system says is free. */
  readonly freeBytes?: number;
}

export class Replica {
  readonly name: string;
  readonly instance: string;
  readonly region: Region;
  readonly clientPort: number;
  readonly dataDirectory: string;
  readonly #options: ReplicaOptions;
  readonly #process: ServiceProcess;
  readonly #configFile: string;
  readonly #logFile: string;

  constructor(options: ReplicaOptions) {
    const { instance, region, number, directory, config } = options;
    this.#options = options;
    this.instance = instance;
    this.region = region;
    this.clientPort = options.clientPort;
    this.name = `journal-${instance}-${region}`;
    this.dataDirectory = join(directory, 'data', this.name);
    this.#configFile = join(directory, 'config', `${this.name}.json`);
    this.#logFile = join(directory, 'logs', `${this.name}.log`);
    for (const folder of ['config', 'logs', 'data', join('faults', instance)]) {
      mkdirSync(join(directory, folder), { recursive: true });
    }
    writeFileSync(
      this.#configFile,
      `${JSON.stringify({ ...config, dataDirectory: this.dataDirectory }, null, 2)}\n`,
    );
    this.#process = new ServiceProcess({
      name: this.name,
      module: 'journal/main.js',
      args: ['--config', this.#configFile],
      nodeArgs: PRELOADS.flatMap((name) => [
        '--import',
        pathToFileURL(join(ROOT, 'chaos', 'faults', 'preload', name)).href,
      ]),
      env: {
        MERIDIAN_TEST_CLOCKS: join(directory, 'faults', instance),
        MERIDIAN_TEST_REPLICA: String(number),
      },
      logFile: this.#logFile,
      ready: { line: /"msg":"serving"/ },
      readyMs: READY_MS,
    });
  }

  get running(): boolean {
    return this.#process.pid !== null;
  }

  /** Makes an empty data directory of this replica. */
  async format(): Promise<void> {
    await runService({
      name: `${this.name} format`,
      module: 'journal/main.js',
      args: ['format', '--config', this.#configFile],
      logFile: this.#logFile,
    });
  }

  /** Resolves when it serves; one that runs already is left alone. */
  async start(): Promise<void> {
    if (!this.running) await this.#process.start();
  }

  /** Starts it, whatever becomes of it. */
  async launch(): Promise<void> {
    if (!this.running) await this.#process.launch();
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Resolves when it has ended by itself or by somebody's hand; says how. */
  ended(): Promise<string> {
    return this.#process.ended();
  }

  lastLines(): string[] {
    return this.#process.lastLines();
  }

  /** Its wall clock is off by this much, and drifts by this many millionths, from now on. */
  setClock(skew: { readonly offsetMs?: number; readonly driftPpm?: number }): void {
    this.#control('', { offsetMs: 0, driftPpm: 0, ...skew });
  }

  setDisk(behaviour: DiskBehaviour): void {
    this.#control('.disk', behaviour);
  }

  /** Its event loop stands still for two seconds. */
  stall(): void {
    this.#process.signal('SIGUSR2');
  }

  /** A copy of its directory; the process must not be running. */
  copyData(to: string): void {
    cpSync(this.dataDirectory, to, { recursive: true, preserveTimestamps: true });
  }

  /** The directory becomes that copy; the process must not be running. */
  restoreData(from: string): void {
    this.wipeData();
    cpSync(from, this.dataDirectory, { recursive: true, preserveTimestamps: true });
  }

  wipeData(): void {
    if (existsSync(this.dataDirectory)) rmSync(this.dataDirectory, { recursive: true });
  }

  /** Written in one call; the preload reads it again until it is whole. */
  #control(kind: string, value: object): void {
    const { directory, instance, number } = this.#options;
    const file = join(directory, 'faults', instance, `${String(number)}${kind}.json`);
    writeFileSync(file, JSON.stringify(value));
  }
}
