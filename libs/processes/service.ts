/**
 * One Node process of this build (a replica, a crossbar, a sidecar) that can be started again and again
 * with the same arguments. Owns nothing but the child; who restarts it, and when, is the caller's.
 */
import { fileURLToPath } from 'node:url';
import { MeridianError } from '../errors/errors.ts';
import { spawnChild } from './child.ts';
import type { Child, Ready } from './child.ts';

/** Where built code is, also when this file itself runs from its source. */
const SERVICES = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../dist/services/' : '../../services/',
    import.meta.url,
  ),
);
const READY_MS = 30_000;
/** Between SIGTERM and SIGKILL. */
const STOP_MS = 8_000;

export interface ServiceOptions {
  /** `journal-one-a`; for messages. */
  readonly name: string;
  /** Module below services/, for example `journal/main.js`. */
  readonly module: string;
  readonly args: readonly string[];
  /** Before the module, for Node itself: `--import <preload>`, say. */
  readonly nodeArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly ready: Ready;
  /** Default 30,000. */
  readonly readyMs?: number;
}

export class ServiceProcess {
  readonly name: string;
  readonly #options: ServiceOptions;
  #child: Child | null = null;

  constructor(options: ServiceOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** null while it does not run. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Resolves when it is ready; one that does not get ready is killed. */
  async start(): Promise<void> {
    const child = await this.launch();
    try {
      await child.ready(this.#options.ready, this.#options.readyMs ?? READY_MS);
    } catch (error) {
      await child.kill();
      throw error;
    }
  }

  /** Starts it without waiting until it is ready. */
  async launch(): Promise<Child> {
    this.#child = await spawnService(this.#options);
    return this.#child;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.signal(signal);
  }

  lastLines(count?: number): string[] {
    return this.#child?.lastLines(count) ?? [];
  }

  async stop(): Promise<void> {
    await this.#child?.stop();
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#child?.kill();
  }

  /** How the current run ended, in words; never rejects. */
  async ended(): Promise<string> {
    const exit = await this.#child?.exited;
    return exit?.signal ? `signal ${exit.signal}` : `exit code ${String(exit?.code ?? null)}`;
  }
}

/** Runs a command of this build to its end; throws with its last lines when it fails. */
export async function runService(options: Omit<ServiceOptions, 'ready'>): Promise<void> {
  const child = await spawnService(options);
  const { code } = await child.exited;
  if (code === 0) return;
  throw new MeridianError(
    'REFUSED',
    `${options.name} failed (exit code ${String(code)}):\n  ${child.lastLines().join('\n  ')}`,
  );
}

function spawnService(options: Omit<ServiceOptions, 'ready'>): Promise<Child> {
  const { name, module, args, nodeArgs = [], env = {}, logFile } = options;
  return spawnChild({
    name,
    command: process.execPath,
    args: [...nodeArgs, `${SERVICES}${module}`, ...args],
    env,
    logFile,
    stopDeadlineMs: STOP_MS,
  });
}
