import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('ensure-built.mjs', import.meta.url));

/** Stands in for npm: installs what the lockfile says, with a compiler that copies. */
const FAKE_NPM = `
const { appendFileSync, cpSync, mkdirSync, writeFileSync } = require('fs');
appendFileSync('calls', 'npm ' + process.argv.slice(2).join(' ') + '\\n');
if (process.env.NPM_FAILS) process.exit(1);
mkdirSync('node_modules/typescript/bin', { recursive: true });
cpSync('package-lock.json', 'node_modules/.package-lock.json');
writeFileSync('node_modules/typescript/bin/tsc', \`
const { appendFileSync, cpSync, existsSync, readFileSync } = require('fs');
appendFileSync('calls', 'tsc\\\\n');
if (readFileSync('libs/a.ts', 'utf8').includes('mistake')) process.exit(2);
for (const name of ['a', 'b'])
  if (existsSync('libs/' + name + '.ts')) cpSync('libs/' + name + '.ts', 'dist/libs/' + name + '.js');
\`);
`;

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'meridian-ensure-built-'));
  write('package.json', '{"engines":{"node":">=20.19"}}');
  write('tsconfig.json', '{}');
  write('tsconfig.build.json', '{}');
  write('fake-npm.cjs', FAKE_NPM);
  write('libs/a.ts', '1;');
  lock('1.0.0');
  mkdirSync(join(root, 'services/local'), { recursive: true });
  cpSync(SCRIPT, join(root, 'services/local/ensure-built.mjs'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function lock(version: string): void {
  const packages = {
    '': { version: '0' },
    'node_modules/one': { version },
    'node_modules/for-another-platform': { version: '1', optional: true },
  };
  write('package-lock.json', JSON.stringify({ packages }));
}

async function run(
  env: Record<string, string> = {},
  ...args: string[]
): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [join(root, 'services/local/ensure-built.mjs'), ...args], {
    cwd: tmpdir(),
    env: { ...process.env, npm_execpath: join(root, 'fake-npm.cjs'), ...env },
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number>((resolve) => child.once('close', resolve));
  return { code, output };
}

/** What was run since the last question. */
function calls(): string[] {
  const file = join(root, 'calls');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  rmSync(file);
  return lines;
}

describe('ensure-built', () => {
  it('installs and compiles a fresh clone, then does nothing', async () => {
    expect((await run()).code).toBe(0);
    expect(calls()).toEqual(['npm ci', 'tsc']);
    expect(await run()).toEqual({ code: 0, output: '' });
    expect(calls()).toEqual([]);
  });

  it('then becomes the program it is asked for, with its arguments and exit code', async () => {
    write('libs/a.ts', `console.error(process.argv.slice(1)); process.exit(7);`);
    await run();
    const { code, output } = await run({}, 'dist/libs/a.js', '--check', 'x');
    expect(code).toBe(7);
    expect(output).toContain(`'${join(root, 'dist/libs/a.js')}', '--check', 'x'`);
  });

  it('installs again when the lockfile asks for another version', async () => {
    await run();
    calls();
    lock('2.0.0');
    const { output } = await run();
    expect(calls()[0]).toBe('npm ci');
    expect(output).toContain('node_modules/one is 1.0.0, the lockfile says 2.0.0');
  });

  it('compiles again when a source is changed, added or deleted', async () => {
    await run();
    for (const change of [
      () => {
        write('libs/a.ts', 'changed;');
      },
      () => {
        write('libs/b.ts', '');
      },
      () => {
        rmSync(join(root, 'libs/b.ts'));
      },
    ]) {
      calls();
      change();
      await run();
      expect(calls()).toEqual(['tsc']);
    }
    expect(existsSync(join(root, 'dist/libs/a.js'))).toBe(true);
    expect(existsSync(join(root, 'dist/libs/b.js'))).toBe(false);
  });

  it('fails, and compiles again the next time, when the sources do not compile', async () => {
    write('libs/a.ts', 'mistake');
    for (let i = 0; i < 2; i++) {
      const { code, output } = await run();
      expect(code).toBe(1);
      expect(output).toContain('do not compile');
      expect(calls()).toContain('tsc');
    }
  });

  it('says that the registry is needed when the installation fails', async () => {
    const { code, output } = await run({ NPM_FAILS: '1' });
    expect(code).toBe(1);
    expect(output).toContain('npm ci failed');
  });

  it('refuses a Node that is too old, naming the version it needs', async () => {
    write('package.json', '{"engines":{"node":">=99.1"}}');
    const { code, output } = await run();
    expect(code).toBe(1);
    expect(output).toContain(`Node ${process.versions.node} is too old: this needs 99.1 or newer`);
    expect(calls()).toEqual([]);
  });

  it('runs once when two start at the same time', async () => {
    const both = await Promise.all([run(), run()]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(calls()).toEqual(['npm ci', 'tsc']);
  });

  it('is not stopped by the lock of a process that died', async () => {
    const dead = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => dead.once('close', resolve));
    write('dist/.lock', String(dead.pid));
    expect((await run()).code).toBe(0);
  });
});
