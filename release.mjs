/**
 * `npm run release`: dist/release/meridian-VERSION.tar.gz, what a host needs to run the services, and its
 * SHA-256 beside it. Holds the built services, their production dependencies and the systemd units; not
 * Node itself, which comes from the host. The same commit gives the same bytes, as long as the registry
 * gives the same packages.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const name = `meridian-${version}`;
const staging = mkdtempSync(join(tmpdir(), 'meridian-release-'));
const tree = join(staging, name);

try {
  run(root, 'npm', 'run', '--silent', 'build');
  for (const part of ['libs', 'services']) {
    cpSync(join(root, 'dist', part), join(tree, 'dist', part), { recursive: true });
  }
  for (const file of ['package.json', 'package-lock.json', 'LICENSE', 'README.md']) {
    cpSync(join(root, file), join(tree, file));
  }
  // The console is served as it is, from where the sources have it.
  cpSync(join(root, 'services', 'console'), join(tree, 'services', 'console'), { recursive: true });
  mkdirSync(join(tree, 'systemd'));
  for (const service of readdirSync(join(root, 'services'), { withFileTypes: true })) {
    const units = join(root, 'services', service.name, 'systemd');
    if (service.isDirectory()) copyIfThere(units, join(tree, 'systemd'));
  }
  const omit = ['--omit=dev', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  run(tree, 'npm', 'ci', '--silent', ...omit);

  const time = run(root, 'git', 'log', '-1', '--format=%ct').trim();
  const directory = join(root, 'dist', 'release');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${name}.tar.gz`);
  const fixed = ['--sort=name', `--mtime=@${time}`, '--owner=0', '--group=0', '--numeric-owner'];
  const modes = ['--mode=go=u,go-w'];
  run(staging, 'tar', ...fixed, ...modes, '-I', 'gzip -n', '-cf', file, name);
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
  writeFileSync(`${file}.sha256`, `${hash}  ${name}.tar.gz\n`);
  console.log(`${hash}  ${file}`);
} finally {
  rmSync(staging, { recursive: true, force: true });
}

function copyIfThere(from, to) {
  try {
    cpSync(from, to, { recursive: true });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

function run(directory, command, ...args) {
  const ran = spawnSync(command, args, {
    cwd: directory,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (ran.status === 0) return ran.stdout;
  throw new Error(`${command} ${args.join(' ')} failed: ${ran.error?.message ?? ran.stdout}`);
}
