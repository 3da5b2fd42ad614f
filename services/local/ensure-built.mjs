/**
 * Stands before `npm start`, `npm test`, `npm run sim` and `npm run bench`, so that each works right
 * after `git clone`: installs the packages when they are missing or differ from package-lock.json,
 * compiles when a source has changed, otherwise does nothing, quickly. Then it becomes the program
 * that its first argument names. (Not a `prestart` script: .npmrc switches those off with
 * `ignore-scripts`. Not `a && b`: the shell between npm and the program would keep its signals.)
 *
 * Plain JavaScript without packages, because neither packages nor a build exist when it first runs.
 * It never touches what it did not make: dist/ and node_modules/ only.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const SOURCES = ['libs', 'services', 'chaos', 'test'];
const LOCK_WAIT_MS = 300_000;

/** Major versions that a dependency may refuse are not ours to guess: only the lower bound counts. */
function nodeProblem(version, wanted) {
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(wanted) ?? [];
  const [haveMajor = 0, haveMinor = 0] = version.split('.').map(Number);
  const enough =
    haveMajor > Number(major) || (haveMajor === Number(major) && haveMinor >= Number(minor));
  if (enough) return null;
  return `Node ${version} is too old: this needs ${major}.${minor} or newer (https://nodejs.org).`;
}

/** Why the packages have to be installed, or null when they are what the lockfile says. */
function installProblem(root) {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return 'packages are not installed yet';
  const have = JSON.parse(readFileSync(installed, 'utf8')).packages;
  const want = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  for (const [path, { version, optional, peer, link }] of Object.entries(want)) {
    if (path === '' || link === true) continue;
    const found = have[path];
    // Optional packages are for one platform each; npm leaves the others out.
    if (found === undefined && (optional === true || peer === true)) continue;
    if (found?.version !== version) {
      return `${path} is ${found?.version ?? 'missing'}, the lockfile says ${version}`;
    }
  }
  return null;
}

/** Fingerprint of everything the build reads; unchanged means the build is current. */
function fingerprint(root) {
  const hash = createHash('sha256');
  const add = (file) => {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${relative(root, file)} ${mtimeMs} ${size}\n`);
  };
  for (const name of ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json']) {
    add(join(root, name));
  }
  for (const folder of SOURCES) walk(join(root, folder), add);
  return hash.digest('hex');
}

function walk(directory, add) {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) walk(path, add);
    else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts')) add(path);
  }
}

function ensureInstalled(root) {
  const problem = installProblem(root);
  if (problem === null) return;
  console.error(`meridian: ${problem}; running npm ci`);
  const npm = process.env.npm_execpath;
  const result =
    npm === undefined
      ? spawnSync('npm', ['ci'], { cwd: root, stdio: ['ignore', 2, 2] })
      : spawnSync(process.execPath, [npm, 'ci'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status !== 0) {
    throw new Error('npm ci failed (see above). It needs the npm registry the first time.');
  }
}

function ensureCompiled(root) {
  const stamp = join(root, 'dist', '.fingerprint');
  const current = fingerprint(root);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === current) return;
  const started = Date.now();
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const result = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0) throw new Error('the sources do not compile (see above)');
  removeOrphans(root, join(root, 'dist'));
  writeFileSync(stamp, current);
  console.error(`meridian: built in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** A module whose source was deleted must not go on working from dist/. */
function removeOrphans(root, directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) removeOrphans(root, path);
    else if (entry.name.endsWith('.js')) {
      const source = join(root, relative(join(root, 'dist'), path).replace(/\.js$/, '.ts'));
      if (existsSync(source)) continue;
      rmSync(path);
      rmSync(`${path}.map`, { force: true });
    }
  }
}

/** One at a time: two installs in one folder destroy each other. */
async function withLock(root, work) {
  const lock = join(root, 'dist', '.lock');
  mkdirSync(dirname(lock), { recursive: true });
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const holder = holderOf(lock);
      if (holder === null) rmSync(lock, { force: true });
      else if (Date.now() > deadline) throw new Error(`process ${holder} holds ${lock}`);
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Pid of the live holder; null when it has died and left the lock behind. */
function holderOf(lock) {
  let text;
  try {
    text = readFileSync(lock, 'utf8');
    if (text === '') return 'unknown'; // created, not yet written
    process.kill(Number(text), 0);
    return text;
  } catch (error) {
    if (error.code === 'ENOENT') return 'unknown';
    return error.code === 'EPERM' ? text : null;
  }
}

try {
  const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const problem = nodeProblem(process.versions.node, engines.node);
  if (problem !== null) throw new Error(problem);
  await withLock(ROOT, () => {
    ensureInstalled(ROOT);
    ensureCompiled(ROOT);
  });
} catch (error) {
  console.error(`meridian: ${error.message}`);
  process.exit(1);
}
const [program, ...args] = process.argv.slice(2);
if (program !== undefined) {
  const file = join(ROOT, program);
  process.argv = [process.argv[0], file, ...args];
  await import(pathToFileURL(file).href);
}
