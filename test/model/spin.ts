/**
 * Where Spin comes from, and how a checker is generated, compiled and run. Spin is Debian's package,
 * unpacked into node_modules/.cache, never installed: `SPIN` in the environment or the PATH come
 * first. Without one this fails and says what to do; nothing is skipped.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const PACKAGE = 'spin=6.5.2+dfsg-1';
/** Of the package's file, by Debian's architecture. */
const SHA256: Readonly<Record<string, string>> = {
  amd64: '55452ba139bae09a165363fdee18fe496913b4ae441d122280fbcbb48556502f',
};
const INSTRUCTIONS =
  'Spin 6.5 is needed: install the Debian package "spin", or set SPIN to the program ' +
  '(https://spinroot.com); besides it gcc on the PATH.';
const DEPTH_MAX = 2_000;
const TRACE_DEPTH_MAX = 50_000;
const MEMORY_MB_MAX = 6_000;

/**
 * explore: every state, exactly. hunt: at random (from a fixed seed) and forgetful, for where a rule is
 * missing: a counterexample is one however it was found. progress: every state, with fairness. follow: a
 * trace, which is long, in a state that is large.
 */
export type SearchKind = 'explore' | 'hunt' | 'progress' | 'follow';

const SEARCHES = {
  explore: { defines: ['-DSAFETY', '-DCOLLAPSE'], arguments: [] },
  hunt: {
    defines: ['-DSAFETY', '-DBITSTATE', '-DT_RAND', '-DP_RAND'],
    arguments: ['-w26', '-RS1'],
  },
  progress: { defines: ['-DCOLLAPSE', '-DNFAIR=5'], arguments: ['-a', '-f'] },
  follow: {
    defines: ['-DSAFETY', '-DVECTORSZ=65536'],
    arguments: [`-m${String(TRACE_DEPTH_MAX)}`],
  },
} as const;

export type Defines = Readonly<Record<string, number | string>>;

export interface Outcome {
  readonly states: number;
  readonly depth: number;
  /** The assertion or property that fails; null: none does. */
  readonly violation: string | null;
  /** Every state of the scope was visited. */
  readonly complete: boolean;
  readonly seconds: number;
}

export interface Followed {
  readonly accepted: boolean;
  /** Of the specification's own properties, on the way. */
  readonly violation: string | null;
  readonly states: number;
  /** Events that the specification could follow. */
  readonly furthest: number;
}

export function findSpin(): string {
  const given = process.env['SPIN'];
  if (given !== undefined) {
    if (works(given)) return given;
    throw new Error(`SPIN is ${given}, which does not run. ${INSTRUCTIONS}`);
  }
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'spin');
    if (existsSync(path) && works(path)) return path;
  }
  const cache = join(process.cwd(), 'node_modules', '.cache', 'spin-6.5.2');
  const path = join(cache, 'usr', 'bin', 'spin');
  if (!existsSync(path)) unpack(cache);
  if (works(path)) return path;
  throw new Error(`The unpacked Spin does not run. ${INSTRUCTIONS}`);
}

function works(path: string): boolean {
  const { error, stdout } = spawnSync(path, ['-V'], { encoding: 'utf8' });
  return error === undefined && stdout.startsWith('Spin Version');
}

function unpack(cache: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-spin-'));
  try {
    const download = spawnSync('apt-get', ['download', PACKAGE], { cwd: folder, encoding: 'utf8' });
    const file = readdirSync(folder).find((name) => name.endsWith('.deb'));
    if (download.status !== 0 || file === undefined) {
      throw new Error(`apt-get download ${PACKAGE} failed. ${INSTRUCTIONS}`);
    }
    const architecture = /_([a-z0-9]+)\.deb$/.exec(file)?.[1] ?? '';
    const hash = createHash('sha256')
      .update(readFileSync(join(folder, file)))
      .digest('hex');
    if (hash !== SHA256[architecture]) {
      throw new Error(`${file} has an unknown sha256, ${hash}. ${INSTRUCTIONS}`);
    }
    mkdirSync(cache, { recursive: true });
    const result = spawnSync('dpkg-deb', ['-x', join(folder, file), cache], { encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`dpkg-deb failed: ${result.stderr}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Compiled checkers, one for every combination of sizes; they live as long as this process. */
export class Checkers {
  private readonly spin: string;
  private readonly folder = mkdtempSync(join(tmpdir(), 'meridian-model-'));
  private readonly built = new Map<string, Promise<string>>();

  constructor(spin: string) {
    this.spin = spin;
  }

  async run(defines: Defines, environment: Defines, search: SearchKind): Promise<Outcome> {
    const folder = await this.build(defines, search);
    const args = ['-n', '-E', `-m${String(DEPTH_MAX)}`, ...SEARCHES[search].arguments];
    const began = performance.now();
    const { output } = await execute(join(folder, 'pan'), args, folder, environment);
    return { ...outcomeOf(output), seconds: (performance.now() - began) / 1000 };
  }

  /** Whether the specification can do what the trace in the file shows, and how much of it. */
  async follow(defines: Defines, file: string): Promise<Followed> {
    const folder = await this.build({ ...defines, TRACE: 1 }, 'follow');
    const args = ['-n', '-E', ...SEARCHES.follow.arguments];
    const environment = { MODEL_TRACE: file, MODEL_CRASHES: 1, MODEL_RECORDS: 2 };
    const { output } = await execute(join(folder, 'pan'), args, folder, environment);
    const { violation, states } = outcomeOf(output);
    const furthest = Number(/furthest event: (\d+)/.exec(output)?.[1] ?? 0);
    return { accepted: violation?.includes('place<events') === true, violation, states, furthest };
  }

  /** The steps of a counterexample that `run` has just found, a line each. */
  async story(defines: Defines, environment: Defines): Promise<readonly string[]> {
    const folder = await this.build({ ...defines, STORY: 1 }, 'hunt');
    const args = ['-n', '-E', `-m${String(DEPTH_MAX)}`, ...SEARCHES.hunt.arguments];
    await execute(join(folder, 'pan'), args, folder, environment);
    const { output } = await execute(join(folder, 'pan'), ['-r', '-n'], folder, environment);
    return output
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => /^r[0-2] /.test(line) || line.includes('assertion violated'));
  }

  end(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private build(defines: Defines, search: SearchKind): Promise<string> {
    const flags = Object.entries(defines).map(([name, value]) => `-D${name}=${String(value)}`);
    const key = [...flags, search].join(' ');
    const known = this.built.get(key);
    if (known !== undefined) return known;
    const building = this.compile(join(this.folder, String(this.built.size)), flags, search);
    this.built.set(key, building);
    return building;
  }

  private async compile(
    folder: string,
    flags: readonly string[],
    search: SearchKind,
  ): Promise<string> {
    mkdirSync(folder);
    const source = join(process.cwd(), 'test', 'model');
    for (const file of readdirSync(source).filter((name) => name.endsWith('.pml'))) {
      copyFileSync(join(source, file), join(folder, file));
    }
    const main = search === 'progress' ? 'liveness.pml' : 'lane.pml';
    await must(this.spin, [...flags, '-a', main], folder);
    const memory = `-DMEMLIM=${String(MEMORY_MB_MAX)}`;
    const args = ['-O1', '-w', '-DNOREDUCE', memory, ...SEARCHES[search].defines];
    await must('gcc', [...args, '-o', 'pan', 'pan.c'], folder);
    return folder;
  }
}

function outcomeOf(output: string): Omit<Outcome, 'seconds'> {
  const states = /([\d.e+]+) states, stored/.exec(output)?.[1];
  const depth = /depth reached (\d+), errors: (\d+)/.exec(output);
  if (states === undefined || depth === null) {
    throw new Error(`the checker did not come to its end:\n${output.slice(-2_000)}`);
  }
  const violated = /pan:\d+: (.*)/.exec(output)?.[1] ?? null;
  const complete =
    !output.includes('Search not completed') && !output.includes('max search depth too small');
  return {
    states: Number(states),
    depth: Number(depth[1]),
    violation: depth[2] === '0' ? null : violated,
    complete,
  };
}

async function must(command: string, args: readonly string[], folder: string): Promise<void> {
  const { status, output } = await execute(command, args, folder, {});
  if (status !== 0) {
    throw new Error(`${command} failed. ${INSTRUCTIONS}\n${output.slice(-2_000)}`);
  }
}

function execute(
  command: string,
  args: readonly string[],
  cwd: string,
  environment: Defines,
): Promise<{ status: number | null; output: string }> {
  const strings = Object.entries(environment).map(([name, value]) => [name, String(value)]);
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...(Object.fromEntries(strings) as Record<string, string>) },
    });
    const end = (): void => void child.kill('SIGKILL');
    process.once('exit', end);
    let output = '';
    const take = (text: string): void => void (output += text);
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.once('error', (error) => {
      take(error.message);
    });
    child.once('close', (status) => {
      process.off('exit', end);
      resolve({ status, output });
    });
  });
}
