/** The runner behind `npm test`: it must not call anything passed that did not pass. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from './source-files.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-run-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

interface Stage {
  readonly name: string;
  /** A program for `node -e`. */
  readonly program: string;
  readonly vitest?: boolean;
  readonly minutesMax?: number;
  readonly group?: string;
  readonly nightly?: boolean;
}

function run(
  stages: readonly Stage[],
  ...args: string[]
): { status: number | null; lines: string[] } {
  const list = stages.map(({ program, ...rest }) => ({
    minutesMax: 1,
    ...rest,
    command: [process.execPath, '-e', program, '--'],
  }));
  const file = join(directory, 'stages.mjs');
  writeFileSync(file, `export const stages = ${JSON.stringify(list)};`);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'test/run.mjs'), '--stages', file, ...args],
    { encoding: 'utf8' },
  );
  return { status, lines: (stdout + stderr).trimEnd().split('\n') };
}

/** Stands in for Vitest: leaves this report. */
function reporting(report: object, exitCode = 0): string {
  const complete = {
    numTotalTests: 3,
    numPassedTests: 3,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [],
    ...report,
  };
  return `
    const flag = process.argv.find((it) => it.startsWith('--outputFile.json='));
    require('fs').writeFileSync(flag.slice(flag.indexOf('=') + 1), ${JSON.stringify(JSON.stringify(complete))});
    process.exit(${String(exitCode)});`;
}

describe('npm test', () => {
  it('adds up tests and other stages in one last line', () => {
    const { status, lines } = run([
      { name: 'lint', program: '' },
      { name: 'unit', program: reporting({}), vitest: true },
    ]);
    expect(status).toBe(0);
    expect(lines.at(-1)).toBe('4 passed, 0 failed');
  });

  it('runs neighbours of one group together, and others one after the other', () => {
    const file = (name: string): string => JSON.stringify(join(directory, name));
    // Each is there before it looks for the other, or waits: together both see both.
    const meet = (own: string, other: string): string => `
      const fs = require('fs');
      fs.writeFileSync(${file(own)}, '');
      const until = Date.now() + 10_000;
      while (!fs.existsSync(${file(other)})) if (Date.now() > until) process.exit(1);`;
    const together = run([
      { name: 'one', group: 'g', program: meet('a', 'b') },
      { name: 'two', group: 'g', program: meet('b', 'a') },
    ]);
    expect(together.lines.at(-1)).toBe('2 passed, 0 failed');
    const apart = `const fs = require('fs'); if (fs.existsSync(${file('c')})) process.exit(1);
      fs.writeFileSync(${file('c')}, '');
      setTimeout(() => fs.unlinkSync(${file('c')}), 300);`;
    const { lines } = run([
      { name: 'one', program: apart },
      { name: 'two', group: 'g', program: apart },
      { name: 'three', program: apart },
    ]);
    expect(lines.at(-1)).toBe('3 passed, 0 failed');
  });

  it('prints in full what failed, goes on with the rest, and fails', () => {
    const { status, lines } = run([
      { name: 'one', program: `console.log('line 1'); console.error('line 2'); process.exit(7)` },
      { name: 'two', program: '' },
    ]);
    expect(status).toBe(1);
    expect(lines).toEqual(expect.arrayContaining(['line 1', 'line 2']));
    expect(lines.slice(-2)).toEqual(['failed: one (output above)', '1 passed, 1 failed']);
  });

  it.each([
    ['a failed test', reporting({ numPassedTests: 2, numFailedTests: 1 }, 1), '2 passed, 1 failed'],
    ['a skipped test', reporting({ numPassedTests: 2, numPendingTests: 1 }), '2 passed, 1 failed'],
    ['a test that is only planned', reporting({ numTodoTests: 1 }), '3 passed, 1 failed'],
    [
      'a file that cannot be loaded',
      reporting(
        { testResults: [{ status: 'failed', name: 'a.test.ts', assertionResults: [] }] },
        1,
      ),
      '3 passed, 1 failed',
    ],
    ['no test at all', reporting({ numTotalTests: 0, numPassedTests: 0 }), '0 passed, 1 failed'],
    ['a Vitest that crashed before its report', 'process.exit(1)', '0 passed, 1 failed'],
    ['a Vitest that failed after all tests passed', reporting({}, 1), '3 passed, 1 failed'],
  ])('counts %s as a failure', (_, program, total) => {
    const { status, lines } = run([{ name: 'unit', program, vitest: true }]);
    expect(status).toBe(1);
    expect(lines.at(-1)).toBe(total);
  });

  it('says which test failed, and why, before all of the output', () => {
    const failureMessages = ['Error: expected 1 to be 2\n    at a.test.ts:3'];
    const test = { status: 'failed', fullName: 'counting goes on', failureMessages };
    const file = { status: 'failed', name: join(process.cwd(), 'a.test.ts') };
    const testResults = [{ ...file, assertionResults: [test] }];
    const program = reporting({ numPassedTests: 2, numFailedTests: 1, testResults }, 1);
    const { lines } = run([{ name: 'unit', program, vitest: true }]);
    const reason = lines.indexOf('  x   a.test.ts: counting goes on');
    expect(reason).toBe(lines.findIndex((line) => line.startsWith('FAIL')) + 1);
    expect(lines[reason + 1]?.trim()).toBe('Error: expected 1 to be 2');
  });

  it('ends a stage that takes too long', () => {
    const { lines } = run([
      { name: 'slow', program: 'setInterval(() => {}, 1000)', minutesMax: 0.005 },
    ]);
    expect(lines).toContain('stopped: it took longer than 0.005 minutes');
    expect(lines.at(-1)).toBe('0 passed, 1 failed');
  });

  it('runs what takes a night only when it is told to', () => {
    const stages = [
      { name: 'one', program: '' },
      { name: 'two', program: '', nightly: true },
    ];
    expect(run(stages).lines.at(-1)).toBe('1 passed, 0 failed');
    expect(run(stages, '--nightly').lines.at(-1)).toBe('2 passed, 0 failed');
    expect(run(stages, 'two').lines.at(-1)).toBe('1 passed, 0 failed');
  });

  it('runs only the stages that are named, and refuses a name it does not know', () => {
    const stages = ['one', 'two'].map((name) => ({ name, program: '' }));
    expect(run(stages, 'two').lines.at(-1)).toBe('1 passed, 0 failed');
    expect(run(stages, 'three')).toEqual({
      status: 2,
      lines: ['no stage three; there are: one, two'],
    });
  });

  it('counts a stage whose preparation fails', () => {
    const file = join(directory, 'prepared.mjs');
    writeFileSync(
      file,
      `export const stages = [];
       export const unitOnNode = (major) => ({ name: 'on ' + major, command: ['node'],
         prepare: () => { throw new Error('no such Node'); } });`,
    );
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(ROOT, 'test/run.mjs'), '--stages', file, '--also-node', '24'],
      { encoding: 'utf8' },
    );
    expect(status).toBe(1);
    expect(stdout).toContain('no such Node');
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('0 passed, 1 failed');
  });
});
