/** What holds of the Terraform code by itself: format, validity of every module and example, and its own tests. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Workspace } from './terraform.ts';

const FOLDERS = [
  '.',
  ...[
    'archive',
    'bucket',
    'crossbar',
    'encryption',
    'host',
    'janitor',
    'member',
    'network',
    'observability',
    'sidecar',
  ].map((name) => `modules/${name}`),
  'examples/minimal',
  'examples/complete',
];

const MINUTES_5 = 300_000;

let workspace: Workspace;

beforeAll(async () => {
  workspace = await Workspace.open();
});

afterAll(() => {
  workspace.close();
});

/** Changes the copy; the answer changes it back. */
function change(file: string, from: string, to: string): () => void {
  const path = join(workspace.directory, file);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
  return () => {
    writeFileSync(path, text);
  };
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

  it('passes its own tests', { timeout: MINUTES_5 }, async () => {
    await workspace.mustRun('', 'init', '-backend=false', '-input=false');
    const ran = await workspace.run('', 'test', '-no-color');
    expect(ran.output).toMatch(/Success! \d+ passed, 0 failed\./);
  });

  it.each([
    ['an open metadata service', 'host/main.tf', '"required"', '"optional"'],
    ['a plain volume', 'member/state.tf', 'encrypted         = true', 'encrypted         = false'],
    ['a bucket without TLS', 'bucket/main.tf', 'Effect    = "Deny"', 'Effect    = "Allow"'],
    ['a replica that deletes', 'archive/main.tf', '"s3:PutObject"]', '"s3:DeleteObject"]'],
    [
      'a missing peering',
      'network/peering.tf',
      'slice(var.regions, index + 1',
      'slice(var.regions, 2',
    ],
  ])('with %s does not pass its own tests', { timeout: MINUTES_5 }, async (_, file, from, to) => {
    const undo = change(`modules/${file}`, from, to);
    await workspace.mustRun('', 'init', '-backend=false', '-input=false');
    const ran = await workspace.run('', 'test', '-no-color', '-filter=tests/modules.tftest.hcl');
    undo();
    expect(ran.output).toContain('Test assertion failed');
  });

  it('with a mistyped argument is not valid', async () => {
    const undo = change('modules/member/state.tf', 'throughput  ', 'throughputt ');
    await workspace.mustRun('modules/member', 'init', '-backend=false', '-input=false');
    const ran = await workspace.run('modules/member', 'validate', '-no-color');
    undo();
    expect(ran.output).toMatch(/Did you mean\s+"throughput"/);
  });
});
