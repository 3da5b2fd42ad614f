/** What holds of the Terraform code by itself: format, validity of every module and example, and its own tests. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Workspace } from './terraform.ts';

const FOLDERS = [
  '.',
  ...[
    'bucket',
    'crossbar',
    'encryption',
    'host',
    'member',
    'network',
    'observability',
    'sidecar',
  ].map((name) => `modules/${name}`),
  'examples/minimal',
  'examples/complete',
];

let workspace: Workspace;

beforeAll(async () => {
  workspace = await Workspace.open();
});

afterAll(() => {
  workspace.close();
});

function change(file: string, from: string, to: string): void {
  const path = join(workspace.directory, file);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
}

describe('the Terraform code', () => {
  it('is formatted', async () => {
    expect(await workspace.run('', 'fmt', '-check', '-recursive', '-diff')).toMatchObject({
      ok: true,
      output: '',
    });
  });

  it.each(FOLDERS)('is valid in %s', async (folder) => {
    await workspace.mustRun(folder, 'init', '-backend=false', '-input=false');
    expect((await workspace.run(folder, 'validate', '-no-color')).output).toContain('Success!');
  });

  it('passes its own tests', async () => {
    const ran = await workspace.run('', 'test', '-no-color');
    expect(ran.output).toMatch(/Success! \d+ passed, 0 failed\./);
  });

  it('with a mistyped argument is not valid', async () => {
    change('modules/member/state.tf', 'throughput  ', 'throughputt ');
    const ran = await workspace.run('modules/member', 'validate', '-no-color');
    expect(ran.output).toMatch(/Did you mean\s+"throughput"/);
  });
});
