/**
 * What `npm test` consists of, in order: cheap and telling stages first. A stage is one command; one
 * that runs Vitest counts its tests, any other counts as one.
 */
import { mkdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const bin = (name) => join('node_modules', '.bin', name);
const vitest = (project) => ['node_modules/vitest/vitest.mjs', 'run', '--project', project];
/** Of two processors Vitest would use one. */
const unit = [...vitest('unit'), '--maxWorkers=2'];

/** Scenarios of chaos for which a plain `npm test` has the time; the nightly one runs all. */
const IN_EVERY_TEST = ['net/partial-chain', 'net/isolate-one', 'proc/rolling', '--seed', '1'];

export const stages = [
  {
    name: 'lint',
    group: 'static',
    command: [bin('eslint'), '.', '--max-warnings', '0'],
    minutesMax: 10,
  },
  { name: 'format', group: 'static', command: [bin('prettier'), '--check', '.'], minutesMax: 5 },
  { name: 'types', group: 'static', command: [bin('tsc'), '-p', 'tsconfig.json'], minutesMax: 5 },
  { name: 'unit', vitest: true, command: [process.execPath, ...unit], minutesMax: 20 },
  {
    name: 'simulation',
    command: [process.execPath, 'dist/test/simulation/main.js', '--seeds', '1960'],
    minutesMax: 20,
  },
  {
    name: 'system',
    command: [process.execPath, 'dist/test/simulation/main.js', '--system', '--seeds', '26'],
    minutesMax: 20,
  },
  {
    name: 'planted',
    command: [process.execPath, 'dist/test/simulation/main.js', '--planted'],
    minutesMax: 20,
  },
  {
    name: 'model',
    command: [process.execPath, 'dist/test/model/main.js'],
    minutesMax: 20,
  },
  {
    name: 'integration',
    vitest: true,
    command: [process.execPath, ...vitest('integration')],
    minutesMax: 20,
  },
  {
    name: 'terraform',
    vitest: true,
    command: [process.execPath, ...vitest('terraform')],
    minutesMax: 15,
  },
  {
    name: 'fuzz',
    command: [process.execPath, 'dist/test/fuzz/main.js', '--seconds', '1', '--seed', '1'],
    minutesMax: 5,
  },
  {
    name: 'chaos',
    // One cluster serves them all.
    command: [process.execPath, 'dist/chaos/main.js', ...IN_EVERY_TEST],
    minutesMax: 10,
  },
  {
    name: 'check',
    command: [process.execPath, 'dist/services/local/main.js', '--check'],
    minutesMax: 3,
  },
  {
    name: 'long',
    nightly: true,
    vitest: true,
    command: [process.execPath, ...vitest('long')],
    minutesMax: 40,
  },
  {
    name: 'all chaos',
    nightly: true,
    command: [process.execPath, 'dist/chaos/main.js', 'all'],
    minutesMax: 30,
  },
  {
    name: 'long fuzz',
    nightly: true,
    command: [process.execPath, 'dist/test/fuzz/main.js', '--seconds', '15'],
    minutesMax: 20,
  },
];

/** What another Node could break: the parts that lean on it. */
const ON_NODE = ['client', 'config', 'frames', 'http', 'rpc', 'storage'];

/** The unit tests of the parts once more on another Node; not part of a plain `npm test`. */
export function unitOnNode(major) {
  return {
    name: `unit on Node ${major}`,
    vitest: true,
    prepare: () => nodeFromRegistry(major),
    command: ['node', ...unit, ...ON_NODE.map((name) => `libs/${name}/`)],
    minutesMax: 20,
  };
}

/** Installs that Node by its npm package; returns the folder to put first on PATH. */
function nodeFromRegistry(major) {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const folder = join(process.cwd(), 'node_modules', '.cache', `node-${major}`);
  mkdirSync(folder, { recursive: true });
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'];
  const install = spawnSync('npm', ['install', '--prefix', folder, ...flags, `${name}@${major}`], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const programs = join(folder, 'node_modules', name, 'bin');
  const version = spawnSync(join(programs, 'node'), ['--version'], { encoding: 'utf8' });
  if (install.status === 0 && version.stdout?.startsWith(`v${major}.`)) return programs;
  throw new Error(
    `Node ${major} is not to be had: npm install ${name}@${major} failed or did not bring it.\n` +
      `${install.stdout ?? ''}${install.stderr ?? ''}${version.error?.message ?? ''}`,
  );
}
