/**
 * Where toxiproxy-server comes from when nobody names a running one: the PATH, or Go builds it once from
 * the module that toxiproxy-build/ pins. Versions and hashes of everything it consists of are in its
 * go.sum; `-mod=readonly` refuses what differs. The binary is kept in the user's cache with its own
 * hash, so that a damaged one is built again and never run.
 *
 * Without either it fails and says what to install: a scenario without its faults would prove nothing.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { MeridianError } from '../../libs/errors/errors.ts';
import { ROOT } from './root.ts';

const PACKAGE = 'github.com/Shopify/toxiproxy/v2/cmd/server';
const BUILD = join(ROOT, 'chaos', 'cluster', 'toxiproxy-build');
const BUILD_MS = 600_000;
/** Where Go's own installer puts it, which not every shell has on its PATH. */
const GO = '/usr/local/go/bin/go';

/** Path of a program that can be started. */
export function findToxiproxy(onEvent: (text: string) => void): string {
  const installed = onPath('toxiproxy-server');
  if (installed !== null) return installed;
  const file = join(cacheDirectory(), `toxiproxy-server-${fingerprint()}`);
  if (isIntact(file)) return file;
  const go = onPath('go') ?? (existsSync(GO) ? GO : null);
  if (go === null) throw unavailable('neither toxiproxy-server nor go is on the PATH');
  onEvent('building toxiproxy-server, once (a minute or two)');
  build(go, file);
  return file;
}

/** The first program of that name on the PATH. */
export function onPath(program: string): string | null {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const file = join(directory, program);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // not there
    }
  }
  return null;
}

export function cacheDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const directory = join(base, 'meridian');
  mkdirSync(directory, { recursive: true });
  return directory;
}

function build(go: string, file: string): void {
  const draft = `${file}.${String(process.pid)}`;
  const result = spawnSync(go, ['build', ...flags(), '-o', draft, PACKAGE], {
    cwd: BUILD,
    env: { ...process.env, GOWORK: 'off', GOFLAGS: '', CGO_ENABLED: '0' },
    encoding: 'utf8',
    timeout: BUILD_MS,
  });
  if (result.status !== 0) throw unavailable(`go could not build it:\n${result.stderr}`);
  writeFileSync(`${file}.sha256`, hashOf(draft));
  renameSync(draft, file);
}

/** Without its own release script the server would not know its version. */
function flags(): string[] {
  const module = readFileSync(join(BUILD, 'go.mod'), 'utf8');
  const version = /toxiproxy\/v2 v(\S+)/.exec(module)?.[1] ?? '';
  const stamp = `-X github.com/Shopify/toxiproxy/v2.Version=${version}`;
  return ['-mod=readonly', '-trimpath', '-ldflags', stamp];
}

function isIntact(file: string): boolean {
  if (!existsSync(file) || !existsSync(`${file}.sha256`)) return false;
  return readFileSync(`${file}.sha256`, 'utf8') === hashOf(file);
}

function hashOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** Of everything that decides what the binary is. */
function fingerprint(): string {
  const hash = createHash('sha256').update([process.platform, process.arch, ...flags()].join(' '));
  for (const name of ['go.mod', 'go.sum']) hash.update(readFileSync(join(BUILD, name)));
  return hash.digest('hex').slice(0, 12);
}

function unavailable(why: string): MeridianError {
  return new MeridianError(
    'REFUSED',
    `no Toxiproxy: ${why}\n` +
      'Every link of a chaos cluster passes through one. Any of these will do:\n' +
      '  - run one and name it: TOXIPROXY_URL=http://127.0.0.1:8474\n' +
      '  - put toxiproxy-server (2.x) on the PATH: https://github.com/Shopify/toxiproxy/releases\n' +
      '  - put Go 1.23 or newer on the PATH; the server is then built by name and version, once',
  );
}
