/**
 * Runs Terraform without network and without a cloud: on a copy of terraform/, against the fake AWS.
 * The program is TERRAFORM in the environment, or `terraform` on PATH.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../layout/source-files.ts';
import { startFakeAws } from './fake-aws/provider.ts';
import type { FakeAws } from './fake-aws/provider.ts';

const PROGRAM = process.env['TERRAFORM'] ?? 'terraform';

export interface Ran {
  readonly ok: boolean;
  /** What it printed, both streams, in order. */
  readonly output: string;
  readonly stdout: string;
}

export class Workspace {
  /** The copy of terraform/, which may be changed. */
  readonly directory: string;
  readonly #root: string;
  readonly #aws: FakeAws;

  private constructor(root: string, aws: FakeAws) {
    this.#root = root;
    this.#aws = aws;
    this.directory = join(root, 'terraform');
  }

  static async open(): Promise<Workspace> {
    const root = mkdtempSync(join(tmpdir(), 'meridian-terraform-'));
    cpSync(join(ROOT, 'terraform'), join(root, 'terraform'), {
      recursive: true,
      filter: (path) => !/\.terraform(\/|$|\.lock)|\.tfstate/.test(path),
    });
    writeFileSync(join(root, 'terraformrc'), 'disable_checkpoint = true\n');
    return new Workspace(root, await startFakeAws());
  }

  close(): void {
    this.#aws.stop();
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** In a folder of the copy, '' for its top. */
  async run(folder: string, ...args: readonly string[]): Promise<Ran> {
    return new Promise((resolve, reject) => {
      const child = spawn(PROGRAM, [`-chdir=${join(this.directory, folder)}`, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env['PATH'],
          HOME: this.#root,
          TF_IN_AUTOMATION: '1',
          TF_CLI_CONFIG_FILE: join(this.#root, 'terraformrc'),
          TF_REATTACH_PROVIDERS: this.#aws.reattach,
        },
      });
      let output = '';
      let stdout = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        stdout += text;
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      child.once('error', (error) => {
        const help = 'install Terraform 1.11 or later, or say in TERRAFORM where it is';
        reject(new Error(`cannot run ${PROGRAM} (${error.message}): ${help}`));
      });
      child.once('close', (code) => {
        resolve({ ok: code === 0, output, stdout });
      });
    });
  }

  /** Fails with what Terraform says went wrong. */
  async mustRun(folder: string, ...args: readonly string[]): Promise<string> {
    const ran = await this.run(folder, ...args);
    if (!ran.ok) {
      const mistake = ran.output.slice(Math.max(0, ran.output.indexOf('Error:')));
      throw new Error(`terraform ${args.join(' ')} in ${folder}:\n${mistake}`);
    }
    return ran.stdout;
  }
}
