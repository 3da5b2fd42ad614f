/**
 * S4: one process a directory, between real processes. The children run this library's own code,
 * its types stripped into a temporary directory: `node` cannot run the sources everywhere.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { formatDirectory, openLog } from './log.ts';
import type { Log } from './log.ts';
import { bodyOf, IDENTITY, synced } from './scripted-log.ts';

const LIBS = join(import.meta.dirname, '..');
/** Opens the log and prints what happened; then appends for ever, telling what is on disk. */
const CHILD = `
import { openLog } from './storage/log.js';
const [directory, appends] = process.argv.slice(2);
const options = { directory, identity: ${JSON.stringify(IDENTITY)}, segmentBytes: 65536, onFatal: (error) => { throw error; } };
let count = 0;
try {
  const log = openLog(options, () => count++);
  console.log('open');
  const next = () => {
    for (let i = 0; i < 3; i++) log.append(1, [Buffer.from(String(count++))]);
    const confirmed = count;
    log.sync(() => { console.log(confirmed); next(); });
  };
  if (appends === 'append') next(); else setInterval(() => undefined, 60_000);
} catch (error) {
  console.log(error.reason + ': ' + error.message);
}
`;

let built = '';
let parent = '';
let directory = '';
const children: ChildProcess[] = [];

beforeAll(() => {
  built = fs.mkdtempSync(join(os.tmpdir(), 'meridian-built-'));
  fs.writeFileSync(join(built, 'package.json'), '{"type":"module"}');
  fs.writeFileSync(join(built, 'child.js'), CHILD);
  for (const folder of ['values', 'errors', 'storage']) {
    fs.mkdirSync(join(built, folder));
    for (const name of fs.readdirSync(join(LIBS, folder))) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const { outputText } = ts.transpileModule(fs.readFileSync(join(LIBS, folder, name), 'utf8'), {
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true,
        },
      });
      fs.writeFileSync(join(built, folder, name.replace(/\.ts$/, '.js')), outputText);
    }
  }
});

afterAll(() => {
  fs.rmSync(built, { recursive: true });
});

beforeEach(() => {
  parent = fs.mkdtempSync(join(os.tmpdir(), 'meridian-lock-'));
  directory = join(parent, 'data');
  formatDirectory(directory, IDENTITY);
});

afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  fs.rmSync(parent, { recursive: true });
});

function start(
  mode: 'hold' | 'append',
  path = process.env['PATH'] ?? '',
): [ChildProcess, AsyncIterator<string>] {
  const child = spawn(process.execPath, [join(built, 'child.js'), directory, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PATH: path },
  });
  children.push(child);
  return [child, createInterface({ input: child.stdout })[Symbol.asyncIterator]()];
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

async function line(lines: AsyncIterator<string>): Promise<string> {
  const next = await lines.next();
  return next.done === true ? '(ended)' : next.value;
}

function openHere(): { log: Log; bodies: string[] } {
  const bodies: string[] = [];
  const options = {
    directory,
    identity: IDENTITY,
    onFatal: (error: Error) => {
      throw error;
    },
  };
  const log = openLog(options, ({ body }) => bodies.push(Buffer.from(body).toString()));
  return { log, bodies };
}

describe('the lock of a data directory', () => {
  it('lets one of two processes in, and names it to the other', async () => {
    const [first, firstLines] = start('hold');
    expect(await line(firstLines)).toBe('open');
    const [, secondLines] = start('hold');
    expect(await line(secondLines)).toContain(
      `REFUSED: the data directory is in use by process ${first.pid}`,
    );
    expect(openHere).toThrow(/in use/);
    await kill(first);
    const [, thirdLines] = start('hold');
    expect(await line(thirdLines)).toBe('open');
  });

  it('lets exactly one in when several start at once', async () => {
    const results = await Promise.all(
      Array.from({ length: 4 }, async () => line(start('hold')[1])),
    );
    expect(results.filter((result) => result === 'open').length).toBe(1);
    expect(results.filter((result) => result.startsWith('REFUSED')).length).toBe(3);
  });

  it('holds inside one process too, and ends with close', async () => {
    const { log } = openHere();
    expect(openHere).toThrow(expect.objectContaining({ reason: 'REFUSED' }));
    await log.close();
    await openHere().log.close();
  });

  it('is not inherited by the children of its holder', async () => {
    const { log } = openHere();
    const child = spawn('sleep', ['60'], { stdio: 'inherit' });
    children.push(child);
    await once(child, 'spawn');
    await log.close();
    await openHere().log.close();
  });

  it('says what is missing where no program can take it', async () => {
    const [, lines] = start('hold', parent);
    expect(await line(lines)).toMatch(
      /^REFUSED: cannot lock .*flock \(util-linux, busybox\) or perl/,
    );
  });

  it('is taken with perl where there is no flock', async () => {
    const tools = join(parent, 'tools');
    fs.mkdirSync(tools);
    const perl = (process.env['PATH'] ?? '')
      .split(':')
      .map((folder) => join(folder, 'perl'))
      .find((path) => fs.existsSync(path));
    if (perl === undefined) return;
    fs.symlinkSync(perl, join(tools, 'perl'));
    const [, first] = start('hold', tools);
    expect(await line(first)).toBe('open');
    expect(openHere).toThrow(/in use/);
    const [, second] = start('hold', tools);
    expect(await line(second)).toContain('in use');
  });
});

describe('kill -9 of a process that appends', () => {
  it('loses nothing that it had been told is on disk, over several lives', async () => {
    let confirmed = 0;
    for (let life = 0; life < 4; life++) {
      const [child, lines] = start('append');
      expect(await line(lines)).toBe('open');
      for (let count = 0; count < 20 + 7 * life; count++) confirmed = Number(await line(lines));
      await kill(child);
      for (let rest = await line(lines); rest !== '(ended)'; rest = await line(lines)) {
        confirmed = Number(rest);
      }
      const { log, bodies } = openHere();
      expect(bodies.length).toBeGreaterThanOrEqual(confirmed);
      expect(bodies).toEqual(bodies.map((_, index) => String(index)));
      await log.close();
    }
    expect(confirmed).toBeGreaterThan(200);
    const { log, bodies } = openHere();
    log.append(1, [Buffer.from(bodyOf(bodies.length))]);
    await synced(log);
    await log.close();
  });
});
