/**
 * `npm start` as a person uses it: a process of its own, its output, its signals. What matters most
 * is what it leaves behind: the state, and no process, however it ends.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openDatabase } from '../../services/local/database.ts';
import type { Database } from '../../services/local/database.ts';
import type { Ports, Region } from '../../services/local/topology.ts';
import { waitLinearizable } from '../../services/local/workload.ts';

const MAIN = fileURLToPath(new URL('../../dist/services/local/main.js', import.meta.url));
const START_MS = 90_000;
const TEST_MS = 240_000;

let directory: string;
let started: Local[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-start-'));
  chmodSync(directory, 0o755);
});

afterEach(async () => {
  for (const local of started) local.child.kill('SIGKILL');
  started = [];
  await expectNothingRuns();
  rmSync(directory, { recursive: true, force: true });
});

interface Local {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output(): string;
}

function start(...args: string[]): Local {
  const child = spawn(process.execPath, [MAIN, '--directory', directory, '--plain', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const local = { child, exited, output: () => text };
  started.push(local);
  return local;
}

/** Fails at once, with what it printed, when the process ends before. */
async function printed(local: Local, what: RegExp): Promise<void> {
  const ended = local.exited.then((code) => {
    throw new Error(`ended with ${String(code)}:\n${local.output()}`);
  });
  const seen = vi.waitFor(
    () => {
      expect(local.output()).toMatch(what);
    },
    { timeout: START_MS, interval: 50 },
  );
  await Promise.race([seen, ended]);
}

/** Processes started for this directory: it is in the arguments of each of them. */
function running(): string[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line.includes(directory));
}

async function expectNothingRuns(): Promise<void> {
  await vi.waitFor(
    () => {
      expect(running()).toEqual([]);
    },
    { timeout: 15_000, interval: 100 },
  );
}

async function inRegion<T>(region: Region, work: (database: Database) => Promise<T>): Promise<T> {
  const { ports } = JSON.parse(readFileSync(join(directory, 'meridian-local.json'), 'utf8')) as {
    ports: Ports;
  };
  const address = `postgres://postgres@127.0.0.1:${String(ports[region].postgres)}/app`;
  const database = await openDatabase(address);
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

describe('npm start', { timeout: TEST_MS }, () => {
  it('keeps what was committed, restarts what dies, and leaves no process behind', async () => {
    const first = start();
    await printed(first, /Meridian runs/);
    await printed(first, /A: replicas 2\/2 .* C: replicas 2\/2/);
    expect(running().length).toBeGreaterThanOrEqual(13); // itself, nine services, three databases
    const consoles = [...first.output().matchAll(/(one|two) (http:\S+)/g)];
    expect(consoles).toHaveLength(6);
    for (const [, instance, address] of consoles) {
      const overview = await (await fetch(`${address ?? ''}console/overview`)).json();
      expect(overview).toMatchObject({ cluster: 'local', instance });
    }
    await vi.waitFor(
      () => {
        for (const name of ['one', 'two']) {
          expect(existsSync(join(directory, 'archive', name, 'journal.json')), name).toBe(true);
        }
      },
      { timeout: START_MS },
    );
    // As it stands, and twice: whoever tries it a second time must not meet an error.
    const [, insert = ''] = /-c "(INSERT [^"]+)"/.exec(first.output()) ?? [];
    for (let time = 0; time < 2; time += 1) {
      await inRegion('a', (primary) => primary.query(insert));
    }

    const refused = start();
    expect(await refused.exited).toBe(1);
    expect(refused.output()).toContain(`in use by process ${String(first.child.pid)}`);

    const [victim = ''] = running().filter((line) => line.includes('config/journal-one-c'));
    process.kill(Number(victim.trim().split(' ')[0]), 'SIGKILL');
    await printed(first, /journal-one-c ended \(signal SIGKILL\); starting it again/);

    first.child.kill('SIGINT');
    expect(await first.exited).toBe(0);
    await expectNothingRuns();

    const second = start();
    await printed(second, /Meridian runs/);
    const rows = await inRegion('b', async (replica) => {
      await waitLinearizable(replica);
      return replica.query('SELECT text FROM note');
    });
    expect(rows).toEqual([['hello'], ['hello']]);

    second.child.kill('SIGKILL'); // nobody can clean up after that, except those who watch
    await second.exited;
    await expectNothingRuns();
  });

  it('can be interrupted while it starts', async () => {
    const local = start();
    await printed(local, /starting three regions/);
    await vi.waitFor(
      () => {
        expect(running().length).toBeGreaterThan(3);
      },
      { timeout: START_MS, interval: 20 },
    );
    local.child.kill('SIGTERM');
    await local.exited;
    await expectNothingRuns();
  });

  it('refuses wrong options with the usage, and a directory that is not its own', async () => {
    const wrong = start('--chekc');
    expect(await wrong.exited).toBe(64);
    expect(wrong.output()).toContain(`Unknown option '--chekc'`);
    const foreign = start('--directory', tmpdir(), '--fresh');
    expect(await foreign.exited).toBe(1);
    expect(foreign.output()).toContain('not a state directory of Meridian');
  });
});

describe('npm start -- --check', { timeout: TEST_MS }, () => {
  it('does not hold when a replica database was changed behind its back', async () => {
    const check = start('--check', '--seconds', '4');
    await printed(check, /writing in A/);
    await inRegion('c', async (replica) => {
      await replica.query(`SET session_replication_role = replica`);
      await replica.query(`INSERT INTO note VALUES (-1, 'by somebody else')`);
    });
    expect(await check.exited).toBe(1);
    expect(check.output()).toContain('DID NOT HOLD');
    expect(check.output()).toContain('public.note (-1) is too many in C');
    const last = check.output().trimEnd().split('\n').at(-1) ?? '';
    expect(JSON.parse(last)).toMatchObject({ held: false });

    const again = start('--check');
    expect(await again.exited).toBe(1);
    expect(again.output()).toContain('holds the state of an earlier run');
  });
});
