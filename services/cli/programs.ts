/**
 * Programs of other services, run as processes: this service never imports their code. Their settings
 * come as arguments; what this program finds in its environment is not meant for them.
 */
import { fileURLToPath } from 'node:url';
import { spawn } from 'node:child_process';
import { MeridianError } from '../../libs/errors/errors.ts';

export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Below dist/services, `journal/main.js`. */
  readonly program: string;
  readonly args: readonly string[];
  /** Each whole line of standard output as it comes. */
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** Throws UNAVAILABLE when it could not run or was killed. */
export function runProgram(options: ProgramOptions): Promise<ProgramResult> {
  const { program, args, onLine, signal } = options;
  const file = fileURLToPath(new URL(`../${program}`, import.meta.url));
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^MERIDIAN_(?!BENCH_)/.test(name)),
  );
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
      ...(signal === undefined ? {} : { signal, killSignal: 'SIGTERM' as const }),
    });
    let stdout = '';
    let stderr = '';
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine?.(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', (error) => {
      reject(new MeridianError('UNAVAILABLE', `${program}: ${error.message}`, { cause: error }));
    });
    child.once('close', (code, killedBy) => {
      if (code !== null) resolve({ code, stdout, stderr });
      else reject(new MeridianError('UNAVAILABLE', `${program} was ended by ${killedBy ?? '?'}`));
    });
  });
}
