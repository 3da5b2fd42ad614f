/**
 * A child process under our care: started with its output captured, waited for until it is ready,
 * signalled, stopped, started again with the same arguments, and never left behind (guardian.ts,
 * and `exitWithParent` in our own programs).
 *
 * It leads its own process group: Ctrl-C in the terminal reaches only the parent, which stops its
 * children in the order it wants. It is not restarted by itself; that is the owner's decision.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { MeridianError } from '../errors/errors.ts';
import { EXIT_WITH_PARENT } from './exit-with-parent.ts';
import { guard, release } from './guardian.ts';
import { LogFile } from './log-file.ts';
import { portReady } from './ready.ts';

export interface ChildOptions {
  /** For messages: `journal-1a`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Where stdout and stderr go, appended; without it only the last lines are kept. */
  readonly logFile?: string;
  /** Size at which the log file is rotated. Default 8 MiB. */
  readonly logBytesMax?: number;
  /** What `stop` and the guardian send first. Default SIGTERM; a Postgres wants SIGINT. */
  readonly stopSignal?: NodeJS.Signals;
  /** What follows when `stopDeadlineMs` (default 10,000) have passed is SIGKILL. */
  readonly stopDeadlineMs?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** When a child counts as ready. */
export type Ready =
  | { readonly line: RegExp }
  | { readonly port: number; readonly host?: string }
  /** Asked again every 50 ms until true; what it throws counts as "not yet" and ends up in the error. */
  | { readonly probe: () => Promise<boolean> };

const PROBE_INTERVAL_MS = 50;
const LOG_BYTES_MAX = 8 * 1024 * 1024;
const STOP_DEADLINE_MS = 10_000;
const OUTPUT_DRAIN_MS = 1_000;

const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) signalGroup(child, 'SIGKILL');
});

/** Starts the process; throws REFUSED when the program cannot be started at all. */
export async function spawnChild(options: ChildOptions): Promise<Child> {
  const child = new Child(options);
  await child.start();
  return child;
}

export class Child {
  readonly name: string;
  readonly #options: ChildOptions;
  readonly #log: LogFile;
  #process: ChildProcess | null = null;
  #exited: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  #exit: Exit | null = null;

  constructor(options: ChildOptions) {
    this.name = options.name;
    this.#options = options;
    this.#log = new LogFile(options.logFile ?? null, options.logBytesMax ?? LOG_BYTES_MAX);
  }

  /** null before the first start and after the end. */
  get pid(): number | null {
    return this.running ? (this.#process?.pid ?? null) : null;
  }

  get running(): boolean {
    return this.#process !== null && this.#exit === null;
  }

  /** Of the current (or last) run. */
  get exited(): Promise<Exit> {
    return this.#exited;
  }

  lastLines(count = 20): string[] {
    return this.#log.lastLines(count);
  }

  onLine(listener: (line: string) => void): () => void {
    return this.#log.onLine(listener);
  }

  async start(): Promise<void> {
    if (this.running) throw new MeridianError('INVALID', `${this.name} is already running`);
    const { command, args, env, cwd, uid, gid } = this.#options;
    const child = spawn(command, args, {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env, [EXIT_WITH_PARENT]: '1' },
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    this.#process = child;
    this.#exit = null;
    this.#log.forget();
    child.stdin.on('error', () => undefined); // the child closed its end; that is its business
    this.#log.attach(child.stdout);
    this.#log.attach(child.stderr);
    if (child.pid !== undefined) {
      running.add(child);
      guard(child.pid, this.#options.stopSignal ?? 'SIGTERM');
    }
    this.#exited = new Promise((resolve) => {
      const end = (exit: Exit): void => {
        this.#log.close();
        this.#exit = exit;
        resolve(exit);
      };
      child.once('exit', (code, signal) => {
        signalGroup(child, 'SIGKILL'); // what it started itself does not stay behind either
        if (child.pid !== undefined) release(child.pid);
        running.delete(child);
        // `close` comes when the output has been read to its end, unless a stranger holds it open.
        const drained = setTimeout(end, OUTPUT_DRAIN_MS, { code, signal });
        child.once('close', () => {
          clearTimeout(drained);
          if (this.#process === child) end({ code, signal });
        });
      });
      child.once('error', () => {
        if (child.pid === undefined) end({ code: null, signal: null });
      });
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => {
        reject(
          new MeridianError('REFUSED', `cannot start ${this.name} (${command}): ${cause.message}`, {
            cause,
          }),
        );
      });
    });
  }

  /**
   * Returns when the child is ready; throws UNAVAILABLE when it ended before, DEADLINE when it took
   * longer. Both say what it last printed.
   */
  async ready(check: Ready, deadlineMs = 30_000): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    let lastFailure: unknown;
    const probe = this.#probeOf(check);
    try {
      for (;;) {
        const ended = this.#exit;
        if (ended !== null) throw this.#problem('UNAVAILABLE', `ended (${exitText(ended)})`);
        try {
          if (await probe.ask()) return;
        } catch (error) {
          lastFailure = error;
        }
        if (performance.now() > deadline) {
          const why = lastFailure instanceof Error ? `: ${lastFailure.message}` : '';
          throw this.#problem('DEADLINE', `not ready after ${String(deadlineMs)} ms${why}`);
        }
        await Promise.race([this.#exited, delay(PROBE_INTERVAL_MS)]);
      }
    } finally {
      probe.end();
    }
  }

  /** Sends a signal to the child alone (SIGSTOP, SIGCONT, SIGHUP, ...). */
  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#process?.kill(signal);
  }

  /** kill -9, the child's own children included; returns when it is gone. */
  async kill(): Promise<Exit> {
    if (this.#process !== null && this.running) signalGroup(this.#process, 'SIGKILL');
    return this.#exited;
  }

  /** Asks it to stop, then makes it; returns when it is gone. */
  async stop(): Promise<Exit> {
    if (!this.running) return this.#exited;
    this.signal('SIGCONT'); // a paused process cannot stop in an orderly way
    this.signal(this.#options.stopSignal ?? 'SIGTERM');
    const timer = setTimeout(() => {
      void this.kill();
    }, this.#options.stopDeadlineMs ?? STOP_DEADLINE_MS);
    try {
      return await this.#exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Starts it again with the same arguments, stopping it first if need be. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  #probeOf(check: Ready): { ask: () => Promise<boolean>; end: () => void } {
    if ('probe' in check) return { ask: check.probe, end: () => undefined };
    if ('port' in check) {
      return { ask: () => portReady(check.port, check.host), end: () => undefined };
    }
    let seen = this.lastLines(Infinity).some((line) => check.line.test(line));
    const end = this.onLine((line) => {
      seen ||= check.line.test(line);
    });
    return { ask: () => Promise.resolve(seen), end };
  }

  #problem(reason: 'UNAVAILABLE' | 'DEADLINE', what: string): MeridianError {
    const lines = this.lastLines();
    const output = lines.length === 0 ? 'It printed nothing.' : `Its last lines:\n${indent(lines)}`;
    const file = this.#options.logFile === undefined ? '' : `\nIts log: ${this.#options.logFile}`;
    return new MeridianError(reason, `${this.name} ${what}. ${output}${file}`, {
      details: { process: this.name },
    });
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone, which is what was wanted.
  }
}

function exitText(exit: Exit): string {
  return exit.signal === null ? `exit code ${String(exit.code)}` : `signal ${exit.signal}`;
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join('\n');
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
