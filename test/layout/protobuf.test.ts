/**
 * The wire format's source and what is made of it: lint, freshness of the generated code, and
 * compatibility with proto/baseline.binpb, the schema as last released. The baseline is a file and
 * not a git revision, because a fresh shallow clone has no other revision to compare with. After a
 * deliberate change: `npm run generate`; for a release that may break: `npm run baseline`.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from './source-files.ts';

const BIN = join(ROOT, 'node_modules', '.bin');
const EXAMPLE = 'meridian/journal/v1/journal.proto';

/** A copy of the repository's proto/ that may be changed. */
let copy: string;

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), 'meridian-proto-'));
  cpSync(join(ROOT, 'proto'), join(copy, 'proto'), { recursive: true });
});

afterEach(() => {
  rmSync(copy, { recursive: true, force: true });
});

function buf(...args: string[]): { ok: boolean; output: string } {
  const { status, stdout, stderr } = spawnSync(join(BIN, 'buf'), args, {
    cwd: copy,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${BIN}${delimiter}${process.env['PATH'] ?? ''}` },
  });
  return { ok: status === 0, output: stdout + stderr };
}

/** Replaces the first match in the example file of the copy. */
function change(pattern: RegExp, replacement: string): void {
  const file = join(copy, 'proto', EXAMPLE);
  const text = readFileSync(file, 'utf8');
  expect(text).toMatch(pattern);
  writeFileSync(file, text.replace(pattern, replacement));
}

/** Names of files that differ between libs/gen and what the copy generates now. */
function staleFiles(): string[] {
  const generated = buf('generate', 'proto', '--template', 'proto/buf.gen.yaml');
  expect(generated).toMatchObject({ ok: true });
  const now = contents(join(copy, 'libs/gen'));
  const committed = contents(join(ROOT, 'libs/gen'));
  return [...new Set([...now.keys(), ...committed.keys()])].filter(
    (path) => now.get(path) !== committed.get(path),
  );
}

function contents(directory: string): Map<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return new Map(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [relative(directory, path), readFileSync(path, 'utf8')];
      }),
  );
}

describe('the protobuf schema', () => {
  it('passes the linter', () => {
    expect(buf('lint', 'proto')).toEqual({ ok: true, output: '' });
  });

  it('with a badly named field does not pass the linter', () => {
    change(/(message \w+ \{\n)/, '$1  // A name in the wrong case.\n  string badName = 999;\n');
    expect(buf('lint', 'proto').output).toContain('badName');
  });

  it('is what the generated code was made of', () => {
    expect(staleFiles()).toEqual([]);
  });

  it('with a new field makes the generated code stale', () => {
    change(/(message \w+ \{\n)/, '$1  // New.\n  string added = 999;\n');
    expect(staleFiles()).toEqual(['meridian/journal/v1/journal_pb.ts']);
  });

  it('is compatible with the released one', () => {
    expect(buf('breaking', 'proto', '--against', 'proto/baseline.binpb')).toEqual({
      ok: true,
      output: '',
    });
  });

  it('with a renumbered field is not compatible with the released one', () => {
    change(/ = 1;/, ' = 998;');
    const { ok, output } = buf('breaking', 'proto', '--against', 'proto/baseline.binpb');
    expect(ok).toBe(false);
    expect(output).toMatch(/field "1"/);
  });
});
