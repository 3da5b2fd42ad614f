/**
 * The command `meridian` as a process, for its tests: what it prints, how it ends, and whether its JSON has
 * the fields that its help promises. The journal it talks to is one of its own, `meridian dev`.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { TABLE } from '../../services/cli/table/table.ts';

const MAIN = fileURLToPath(new URL('../../dist/services/cli/main.js', import.meta.url));
/** A machine that is busy with other things is slow, and no failure. */
const DEADLINE_MS = 240_000;

export type Json = Readonly<Record<string, unknown>>;

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly lines: readonly string[];
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Sends SIGINT when this appears in the output. */
  readonly interruptAt?: RegExp;
}

const running = new Set<ChildProcess>();

/** Runs it to its end. The test's own environment says nothing to it. */
export function meridian(words: readonly string[], options: RunOptions = {}): Promise<Result> {
  return execute(process.execPath, [MAIN, ...words], options);
}

/** A shell line in which `meridian` is the program under test. */
export function shell(line: string, options: RunOptions = {}): Promise<Result> {
  const script = `set -o pipefail; meridian() { '${process.execPath}' '${MAIN}' "$@"; }; ${line}`;
  return execute('bash', ['-c', script], options);
}

function execute(
  program: string,
  args: readonly string[],
  { input, env = {}, interruptAt }: RunOptions,
): Promise<Result> {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('MERIDIAN_'));
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(clean), XDG_CONFIG_HOME: '/nonexistent', ...env },
  });
  running.add(child);
  child.stdin.on('error', () => undefined);
  child.stdin.end(input ?? '');
  let stdout = '';
  let stderr = '';
  let interrupted = false;
  const look = (): void => {
    if (interrupted || interruptAt?.test(stdout + stderr) !== true) return;
    interrupted = true;
    child.kill('SIGINT');
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    look();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    look();
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`too long: ${args.slice(1).join(' ')}\n${stdout}\n${stderr}`));
    }, DEADLINE_MS);
    child.once('close', (code) => {
      clearTimeout(timer);
      running.delete(child);
      const lines = stdout.split('\n').filter((line) => line !== '');
      resolve({ code, stdout, stderr, lines });
    });
  });
}

/** A journal of `meridian dev`, and the environment in which commands find it. */
export class Dev {
  readonly directory = mkdtempSync(join(tmpdir(), 'meridian-cli-'));
  env: Readonly<Record<string, string>> = {};
  description: Json = {};
  #child: Child | null = null;

  async start(): Promise<void> {
    this.#child = await spawnChild({
      name: 'meridian dev',
      command: process.execPath,
      args: [MAIN, 'dev', '--directory', join(this.directory, 'dev'), '--output', 'json'],
      stopSignal: 'SIGINT',
    });
    const announced = '{"cluster"';
    await this.#child.ready({ line: /^\{"cluster"/ }, DEADLINE_MS);
    const line = this.#child.lastLines().find((text) => text.startsWith(announced)) ?? '{}';
    this.description = JSON.parse(line) as Json;
    this.env = {
      MERIDIAN_CLUSTER: String(this.description['cluster']),
      MERIDIAN_INSTANCE: String(this.description['instance']),
      MERIDIAN_REPLICAS: this.replicas
        .map(({ region, address }) => `${region}=${address}`)
        .join(','),
    };
  }

  get replicas(): readonly {
    region: string;
    address: string;
    pid: number;
    dataDirectory: string;
  }[] {
    return this.description['replicas'] as Dev['replicas'];
  }

  run(words: readonly string[], options: RunOptions = {}): Promise<Result> {
    return meridian(words, { ...options, env: { ...this.env, ...options.env } });
  }

  shell(line: string, options: RunOptions = {}): Promise<Result> {
    return shell(line, { ...options, env: { ...this.env, ...options.env } });
  }

  /** Exit code 0 expected; the document, or the lines, with exactly the fields that help names. */
  async json(words: readonly string[], options: RunOptions = {}): Promise<Json[]> {
    const result = await this.run([...words, '--output', 'json'], options);
    expect(result, words.join(' ')).toMatchObject({ code: 0 });
    return jsonOf(words, result.stdout);
  }

  /** null when it was never started. */
  async stop(): Promise<number | null> {
    for (const child of running) child.kill('SIGKILL');
    const exit = await this.#child?.stop();
    rmSync(this.directory, { recursive: true, force: true });
    return exit?.code ?? null;
  }
}

/** The values of a command's JSON output, checked against its description. */
export function jsonOf(words: readonly string[], stdout: string): Json[] {
  const command = TABLE.commands.find(({ path }) => path.every((word, at) => word === words[at]));
  const { form, fields = [] } = command?.json ?? {};
  const names = fields.flatMap(({ name }) => name.split(', '));
  const texts = form === 'lines' ? stdout.split('\n').filter((line) => line !== '') : [stdout];
  return texts.map((text) => {
    const value = JSON.parse(text) as Json;
    for (const key of Object.keys(value)) expect(names, words.join(' ')).toContain(key);
    return value;
  });
}
