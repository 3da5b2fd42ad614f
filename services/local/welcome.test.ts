import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { portsFrom, USUAL_FIRST_PORT } from './topology.ts';
import { hasPsql, welcome } from './welcome.ts';

const PLACE = { ports: portsFrom(USUAL_FIRST_PORT), path: '/s', contexts: '/s/meridian.yaml' };

it('tells how to write in A, read in B what was committed before, and look at each journal', () => {
  const text = welcome({ ...PLACE, psql: true }).join('\n');
  expect(text).toContain('  A  primary  psql -h 127.0.0.1 -p 25401 -U postgres app\n');
  expect(text).toMatch(/-p 25401 .* -c "INSERT INTO note \(text\) VALUES/);
  expect(text).toMatch(/-p 25402 .* -c "SELECT meridian.wait_linearizable\(\)" -c "SELECT/);
  expect(text).toContain('journal one http://127.0.0.1:25451/  two http://127.0.0.1:25461/');
  expect(text).toContain('meridian -- status --config /s/meridian.yaml');
  expect(text).not.toContain('no psql');
});

it('gives addresses for other clients where there is no psql', () => {
  const text = welcome({ ...PLACE, psql: false }).join('\n');
  expect(text).toContain('  B  replica  postgres://postgres@127.0.0.1:25402/app\n');
  expect(text).toContain('no psql on the PATH');
});

it('finds psql only where it can be run', () => {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-psql-'));
  try {
    expect(hasPsql(`${directory}:`)).toBe(false);
    writeFileSync(join(directory, 'psql'), '', { mode: 0o644 });
    if (process.getuid?.() !== 0) expect(hasPsql(directory)).toBe(false);
    chmodSync(join(directory, 'psql'), 0o755);
    expect(hasPsql(`/nowhere:${directory}`)).toBe(true);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
