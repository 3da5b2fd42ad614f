/**
 * `meridian dev`: a journal on this machine until Ctrl-C, or for as long as a command runs that finds it
 * in its environment.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { UsageError } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { aborted } from '../interrupt.ts';
import type { Invocation } from '../invocation.ts';
import { startLocalInstance } from '../local-instance.ts';
import type { LocalInstance } from '../local-instance.ts';

const CLUSTER = 'dev';
const INSTANCE = 'journal';

export async function run(call: Invocation): Promise<number> {
  const { values, output } = call;
  const regions = (values.text('regions') ?? 'a,b,c').split(',').map((name) => name.trim());
  const isName = regions.every((name) => /^[\w.-]{1,64}$/.test(name));
  if (regions.length !== 3 || new Set(regions).size !== 3 || !isName) {
    throw new UsageError('--regions: expected three different names, such as a,b,c', call.command);
  }
  const given = values.text('directory');
  const directory =
    given === undefined ? mkdtempSync(join(tmpdir(), 'meridian-dev-')) : resolve(given);
  const signal = call.interrupted();
  let instance: LocalInstance | null = null;
  try {
    output.note(`starting three replicas in ${directory}`);
    instance = await startLocalInstance({
      directory,
      cluster: CLUSTER,
      instance: INSTANCE,
      regions,
      firstPort: values.number('port') ?? null,
    });
    if (signal.aborted) return EXIT.ok;
    const environment = environmentOf(instance);
    const { replicas, programs } = instance;
    if (values.rest.length > 0) {
      const [{ console } = { console: '' }] = replicas;
      output.note(`three replicas run; console ${console}`);
      const path = `${programs}${delimiter}${process.env['PATH'] ?? ''}`;
      return await runCommand(call, values.rest, { ...environment, PATH: path }, signal);
    }
    announce(call, directory, instance, environment);
    for (const { region, child } of replicas) {
      void child.exited.then(() => {
        if (!signal.aborted) output.warn(`${region} has ended: ${child.lastLines(1).join('')}`);
      });
    }
    await aborted(signal);
    output.note('stopping');
    return EXIT.ok;
  } finally {
    await instance?.stop();
    if (given === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

function environmentOf({ replicas }: LocalInstance): Record<string, string> {
  return {
    MERIDIAN_CLUSTER: CLUSTER,
    MERIDIAN_INSTANCE: INSTANCE,
    MERIDIAN_REPLICAS: replicas.map(({ region, address }) => `${region}=${address}`).join(','),
  };
}

function announce(
  { output }: Invocation,
  directory: string,
  { replicas, configFile, programs }: LocalInstance,
  environment: Readonly<Record<string, string>>,
): void {
  const value = {
    cluster: CLUSTER,
    instance: INSTANCE,
    directory,
    configFile,
    replicas: replicas.map(({ region, address, console, dataDirectory, logFile, child }) => ({
      region,
      address,
      console,
      pid: child.pid,
      dataDirectory,
      logFile,
    })),
  };
  output.line(value, () => {
    const exports = Object.entries(environment).map(([name, text]) => `export ${name}=${text}`);
    return [
      `A journal of three replicas runs on this machine; its state is in ${directory}.`,
      '',
      'Consoles, and JSON over HTTP:',
      '',
      ...replicas.map(({ region, console }) => `  ${region}  ${console}`),
      '',
      'In another terminal:',
      '',
      ...exports.map((line) => `  ${line}`),
      `  export PATH=${quoted(programs)}:$PATH`,
      '  meridian append greetings hello',
      '  meridian tail greetings',
      '  meridian status',
      '',
      'Ctrl-C stops it.',
    ].join('\n');
  });
}

/** Its exit code is ours; a signal reaches it from the terminal, or from here. */
function runCommand(
  call: Invocation,
  [program = '', ...args]: readonly string[],
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolveWith, reject) => {
    const child = spawn(program, args, {
      stdio: 'inherit',
      env: { ...process.env, ...environment },
    });
    void aborted(signal).then(() => child.kill('SIGTERM'));
    child.once('error', (error) => {
      reject(new UsageError(`cannot start ${program}: ${error.message}`, call.command));
    });
    child.once('exit', (code) => {
      resolveWith(code ?? EXIT.interrupted);
    });
  });
}

/** For a shell, where it has to be. */
function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
