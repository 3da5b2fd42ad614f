/**
 * A real server of S3, not ours: moto, by its name from PyPI, in a virtual environment of its own in
 * node_modules/.cache, every package at the version that moto-requirements.txt names. Of the servers one can have
 * by a package name it is the one that enforces `If-None-Match`, and it can enforce rights. `MOTO_SERVER` in the
 * environment comes first. Without it this fails and says what to do; nothing is skipped.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';

const REQUIREMENTS = fileURLToPath(new URL('moto-requirements.txt', import.meta.url));
const INSTALL_MS = 600_000;
const START_MS = 120_000;
const INSTRUCTIONS =
  'moto is needed, a server of S3 for tests: python3 with venv and pip, which can reach a package index ' +
  '(pip install -r test/archive/moto-requirements.txt), or MOTO_SERVER with the path of moto_server.';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Path of the program; installs it once. */
export function findMoto(): string {
  const given = process.env['MOTO_SERVER'];
  if (given !== undefined) {
    if (works(given)) return given;
    throw new Error(`MOTO_SERVER is ${given}, which does not run. ${INSTRUCTIONS}`);
  }
  const pins = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 12);
  const directory = join(process.cwd(), 'node_modules', '.cache', `moto-${pins}`);
  const program = join(directory, 'bin', 'moto_server');
  if (!existsSync(program)) install(directory);
  if (works(program)) return program;
  throw new Error(`${program} does not run. ${INSTRUCTIONS}`);
}

function install(directory: string): void {
  // Scripts of a virtual environment name their own path: it is made where it stays, and marked last.
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  step('python3', ['-m', 'venv', directory]);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input'];
  try {
    step(join(directory, 'bin', 'python'), [...pip, '--requirement', REQUIREMENTS]);
  } catch (error) {
    renameSync(directory, `${directory}.failed-${process.pid}`);
    rmSync(`${directory}.failed-${process.pid}`, { recursive: true, force: true });
    throw error;
  }
}

function step(command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: INSTALL_MS,
  });
  if (status === 0) return;
  // A program that is not there has no output.
  const said = [error?.message, stdout, stderr].join('').trim();
  throw new Error(`${command} ${args.join(' ')}: ${said}\n${INSTRUCTIONS}`);
}

function works(program: string): boolean {
  return spawnSync(program, ['--help'], { timeout: START_MS }).status === 0;
}

export class Moto {
  readonly endpoint: string;
  readonly #child: Child;

  private constructor(endpoint: string, child: Child) {
    this.endpoint = endpoint;
    this.#child = child;
  }

  static async start(): Promise<Moto> {
    const command = findMoto();
    const ports = await reservePorts(1);
    releasePorts(ports);
    const port = ports[0] ?? 0;
    const args = ['--host', '127.0.0.1', '--port', String(port)];
    const child = await spawnChild({ name: 'moto', command, args });
    await child.ready({ port }, START_MS);
    return new Moto(`http://127.0.0.1:${port}`, child);
  }

  async stop(): Promise<void> {
    await this.#child.kill();
  }

  async makeBucket(name: string): Promise<void> {
    await this.#ask('PUT', `/${name}`, '');
  }

  /** A user with exactly these rights. */
  async makeUser(name: string, statements: readonly object[]): Promise<Credentials> {
    const policy = JSON.stringify({ Version: '2012-10-17', Statement: statements });
    await this.#iam({ Action: 'CreateUser', UserName: name });
    const document = { PolicyName: 'own', PolicyDocument: policy };
    await this.#iam({ Action: 'PutUserPolicy', UserName: name, ...document });
    const made = await this.#iam({ Action: 'CreateAccessKey', UserName: name });
    const field = (tag: string): string => new RegExp(`<${tag}>([^<]+)<`).exec(made)?.[1] ?? '';
    return { accessKeyId: field('AccessKeyId'), secretAccessKey: field('SecretAccessKey') };
  }

  /** From here on signatures are checked, and rights. */
  async enforceRights(): Promise<void> {
    await this.#ask('POST', '/moto-api/reset-auth', '0');
  }

  #iam(fields: Readonly<Record<string, string>>): Promise<string> {
    const body = new URLSearchParams({ ...fields, Version: '2010-05-08' }).toString();
    return this.#ask('POST', '/', body, 'iam');
  }

  async #ask(method: string, path: string, body: string, service = 's3'): Promise<string> {
    const scope = `setup/20260101/us-east-1/${service}/aws4_request`;
    const answer = await fetch(`${this.endpoint}${path}`, {
      method,
      body: method === 'PUT' ? null : body,
      headers: {
        authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
        'content-type': service === 'iam' ? 'application/x-www-form-urlencoded' : 'text/plain',
      },
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`moto: ${method} ${path}: ${answer.status} ${text}`);
    return text;
  }
}
