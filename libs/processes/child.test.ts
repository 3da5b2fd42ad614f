import { spawn, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { spawnChild } from './child.ts';
import type { ChildOptions, Child } from './child.ts';
import { isPortFree, releasePorts, reservePorts } from './ports.ts';

let directory: string;
const children: Child[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-processes-'));
});

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.kill()));
  rmSync(directory, { recursive: true, force: true });
});

/** A Node program of one line; it stays alive by itself. */
async function run(program: string, options: Partial<ChildOptions> = {}): Promise<Child> {
  const child = await spawnChild({
    name: 'example',
    command: process.execPath,
    args: ['-e', `setInterval(() => {}, 1000); ${program}`],
    ...options,
  });
  children.push(child);
  return child;
}

function alive(pid: number): boolean {
  // A zombie still has a pid; it is not alive.
  const state = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
  return state.trim() !== '' && !state.startsWith('Z');
}

async function failure(promise: Promise<unknown>): Promise<MeridianError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof MeridianError))
    throw new Error(`expected a MeridianError: ${String(error)}`);
  return error;
}

describe('a child', () => {
  it('is ready when it has printed the awaited line', async () => {
    const child = await run(`console.log('starting'); setTimeout(() => console.log('up 7'), 30)`);
    await child.ready({ line: /^up \d$/ });
    expect(child.lastLines()).toEqual(['starting', 'up 7']);
  });

  it('is ready when its port accepts connections', async () => {
    const [port = 0] = await reservePorts(1);
    const child = await run(`require('net').createServer().listen(${String(port)}, '127.0.0.1')`);
    await child.ready({ port });
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve();
      }).once('error', reject);
    });
    releasePorts([port]);
  });

  it('is ready when a probe says so, and a failing probe only means not yet', async () => {
    const child = await run('');
    let asked = 0;
    await child.ready({
      probe: () => (++asked < 3 ? Promise.reject(new Error('refused')) : Promise.resolve(true)),
    });
    expect(asked).toBe(3);
  });

  it('that ends before it is ready is reported with its exit code and last lines', async () => {
    const child = await run(`console.error('no such directory'); process.exit(3)`);
    const error = await failure(child.ready({ line: /never/ }));
    expect(error.reason).toBe('UNAVAILABLE');
    expect(error.message).toContain('example ended (exit code 3)');
    expect(error.message).toContain('  no such directory');
  });

  it('that takes too long is reported with why the probe failed and its last lines', async () => {
    const child = await run(`console.log('still replaying')`);
    await child.ready({ line: /replaying/ });
    const probe = () => Promise.reject(new Error('connection refused'));
    const error = await failure(child.ready({ probe }, 120));
    expect(error.reason).toBe('DEADLINE');
    expect(error.message).toContain('not ready after 120 ms: connection refused');
    expect(error.message).toContain('  still replaying');
  });

  it('whose program does not exist is refused by name', async () => {
    const error = await failure(spawnChild({ name: 'ghost', command: '/no/such', args: [] }));
    expect(error.reason).toBe('REFUSED');
    expect(error.message).toContain('cannot start ghost (/no/such)');
  });

  it('starts again with the same arguments, and old output does not count as ready', async () => {
    const child = await run(`console.log('up ' + process.pid)`);
    await child.ready({ line: /^up / });
    const first = child.pid;
    await child.restart();
    await child.ready({ line: new RegExp(`^up ${String(child.pid)}$`) });
    expect(child.pid).not.toBe(first);
    expect(child.lastLines()).toHaveLength(1);
  });

  it('is stopped by its signal, and by SIGKILL when it does not obey', async () => {
    const obedient = await run('');
    expect(await obedient.stop()).toEqual({ code: null, signal: 'SIGTERM' });
    const stubborn = await run(`process.on('SIGTERM', () => {}); console.log('deaf')`, {
      stopDeadlineMs: 50,
    });
    await stubborn.ready({ line: /deaf/ });
    expect(await stubborn.stop()).toEqual({ code: null, signal: 'SIGKILL' });
    expect(stubborn.pid).toBeNull();
  });

  it('is stopped in an orderly way even while paused', async () => {
    const child = await run(`process.on('SIGTERM', () => process.exit(9)); console.log('up')`);
    await child.ready({ line: /up/ });
    child.signal('SIGSTOP');
    expect(await child.stop()).toEqual({ code: 9, signal: null });
  });

  it('takes its own children with it when it is killed', async () => {
    const child = await run(
      `const c = require('child_process').spawn('sleep', ['1000']); console.log('child ' + c.pid)`,
    );
    await child.ready({ line: /^child \d+/ });
    const grandchild = Number(child.lastLines()[0]?.slice('child '.length));
    expect(alive(grandchild)).toBe(true);
    await child.kill();
    await vi.waitFor(() => {
      expect(alive(grandchild)).toBe(false);
    });
  });

  it('keeps its log within twice the bound', async () => {
    const logFile = join(directory, 'logs', 'example.log');
    const child = await run(
      `let n = 0; const t = setInterval(() => { if (++n > 200) { console.log('done'); clearInterval(t); }
       else console.log('x'.repeat(99)); }, 0)`,
      { logFile, logBytesMax: 2_000 },
    );
    await child.ready({ line: /done/ });
    await child.stop();
    expect(readdirSync(join(directory, 'logs')).sort()).toEqual(['example.log', 'example.log.1']);
    expect(readFileSync(logFile, 'utf8')).toMatch(/done\n$/);
    for (const file of [logFile, `${logFile}.1`]) expect(statSync(file).size).toBeLessThan(4_000);
  });
});

describe('when the parent is gone', () => {
  /** The library as plain JavaScript, so that a separate Node process can be the parent. */
  function compile(): void {
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
    for (const name of [
      'processes/child',
      'processes/guardian',
      'processes/exit-with-parent',
      'processes/log-file',
      'processes/ready',
      'errors/errors',
    ]) {
      const source = readFileSync(new URL(`../${name}.ts`, import.meta.url), 'utf8');
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          rewriteRelativeImportExtensions: true,
        },
      });
      mkdirSync(join(directory, name, '..'), { recursive: true });
      writeFileSync(join(directory, `${name}.js`), outputText);
    }
  }

  /** Starts a parent with two children (one deaf to SIGTERM); returns their pids when both run. */
  async function family(after: string): Promise<{ parent: number; pids: number[] }> {
    compile();
    writeFileSync(
      join(directory, 'parent.js'),
      `import { spawnChild } from './processes/child.js';
       const deaf = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)";
       const pids = [];
       for (const [command, args] of [[process.execPath, ['-e', deaf]], ['sleep', ['1000']]]) {
         const child = await spawnChild({ name: 'c', command, args });
         if (command !== 'sleep') await child.ready({ line: /up/ });
         pids.push(child.pid);
       }
       console.log(pids.join(' '));
       ${after}`,
    );
    const parent = spawn(process.execPath, [join(directory, 'parent.js')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const pids = await new Promise<number[]>((resolve, reject) => {
      let text = '';
      parent.stdout.setEncoding('utf8').on('data', (data: string) => {
        text += data;
        if (text.endsWith('\n')) resolve(text.trim().split(' ').map(Number));
      });
      parent.once('exit', () => {
        reject(new Error('the parent ended without its children'));
      });
    });
    return { parent: parent.pid ?? 0, pids };
  }

  async function expectGone(pids: readonly number[]): Promise<void> {
    try {
      await vi.waitFor(
        () => {
          expect(pids.filter(alive)).toEqual([]);
        },
        { timeout: 8_000, interval: 50 },
      );
    } finally {
      for (const pid of pids.filter(alive)) process.kill(pid, 'SIGKILL');
    }
  }

  it('by kill -9, its children end too, deaf ones included', async () => {
    const { parent, pids } = await family('');
    expect(pids.every(alive)).toBe(true);
    process.kill(parent, 'SIGKILL');
    await expectGone(pids);
  });

  it('by Ctrl-C without a handler, its children end too', async () => {
    const { parent, pids } = await family('');
    process.kill(parent, 'SIGINT');
    await expectGone(pids);
  });

  it('by an uncaught error, its children end too', async () => {
    const { pids } = await family(
      `setTimeout(() => { throw new Error('uncaught, on purpose'); }, 100)`,
    );
    await expectGone(pids);
  });

  it('a program that calls exitWithParent shuts down in its own orderly way', async () => {
    compile();
    const program = join(directory, 'program.js');
    writeFileSync(
      program,
      `import { exitWithParent } from './processes/exit-with-parent.js';
       exitWithParent();
       process.on('SIGTERM', () => { console.log('orderly'); process.exit(0); });
       console.log('up');
       setInterval(() => {}, 1000);`,
    );
    const child = spawn(process.execPath, [program], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, MERIDIAN_EXIT_WITH_PARENT: '1' },
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (data: string) => {
      text += data;
      if (text === 'up\n') child.stdin.destroy();
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect({ code, text }).toEqual({ code: 0, text: 'up\norderly\n' });
  });
});

describe('reserved ports', () => {
  it('are free, different, and not given out twice, in other processes neither', async () => {
    const [first, second] = await Promise.all([reservePorts(20), reservePorts(20)]);
    expect(new Set([...first, ...second]).size).toBe(40);
    for (const port of first) {
      expect(await isPortFree(port)).toBe(true);
      expect(await isPortFree(port + 1)).toBe(false); // the guard that other processes see
    }
    releasePorts([...first, ...second]);
  });

  it('can be given out again once they are released', async () => {
    const [port = 0] = await reservePorts(1);
    releasePorts([port]);
    await vi.waitFor(async () => {
      expect(await isPortFree(port + 1)).toBe(true);
    });
  });
});
