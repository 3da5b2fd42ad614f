/**
 * The build of the commit before this one, for drills that go from one version to the next: taken out of git, compiled
 * once, kept in node_modules/.cache. It uses the packages that are installed. Fails, with what to do, where there is no
 * such commit: a release's tarball, or a clone of depth 1.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../layout/source-files.ts';

const STEP_MS = 600_000;

export interface Build {
  readonly commit: string;
  /** Of the checkout, with its dist/ in it. */
  readonly directory: string;
}

export function previousBuild(): Build {
  const commit = step('git', ['rev-parse', '--verify', 'HEAD~1'], ROOT).toString().trim();
  const directory = join(ROOT, 'node_modules', '.cache', `build-${commit}`);
  const done = join(directory, 'built');
  if (existsSync(done)) return { commit, directory };
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const files = step('git', ['archive', '--format=tar', commit], ROOT);
  step('tar', ['-x'], directory, files);
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  step(process.execPath, [compiler, '-p', 'tsconfig.build.json'], directory);
  writeFileSync(done, '');
  return { commit, directory };
}

function step(command: string, args: readonly string[], cwd: string, input?: Buffer): Buffer {
  const ran = spawnSync(command, args, {
    cwd,
    timeout: STEP_MS,
    maxBuffer: 256 * 1024 * 1024,
    ...(input === undefined ? {} : { input }),
  });
  if (ran.status === 0) return ran.stdout;
  // A program that is not there has no output.
  const said = [ran.error?.message, ran.stdout, ran.stderr].join('').trim();
  throw new Error(
    `${command} ${args.join(' ')}: ${said}\n` +
      'The drill needs the commit before this one: a git checkout with its history (git fetch --unshallow).',
  );
}
