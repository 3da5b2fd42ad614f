import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadConfig } from './config.ts';
import type { Loaded } from './config.ts';

const schema = z.strictObject({
  listenAddress: z.string().default('127.0.0.1:7401').describe('Where clients connect.'),
  replica: z.number().int().min(0).max(2),
  ack: z.enum(['quorum', 'ordered']).default('ordered'),
  verbose: z.boolean().default(false),
  streams: z.array(z.string()).default([]),
  peers: z.array(z.strictObject({ region: z.string(), address: z.string() })).default([]),
  storage: z.strictObject({
    directory: z.string(),
    segmentBytes: z
      .number()
      .int()
      .positive()
      .default(64 * 1024 * 1024),
  }),
  password: z.string().optional().meta({ secret: true }),
});

type Config = z.output<typeof schema>;
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'meridian-config-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function load(
  argv: string[],
  env: Record<string, string> = {},
  defaults: Record<string, unknown> = {},
): Loaded<Config> {
  return loadConfig({ schema, name: 'meridian journal', argv, env, defaults });
}

function config(loaded: Loaded<Config>): Config {
  if (loaded.kind !== 'config') throw new Error(JSON.stringify(loaded));
  return loaded.config;
}

function mistakes(loaded: Loaded<Config>): readonly string[] {
  if (loaded.kind !== 'mistakes') throw new Error(JSON.stringify(loaded));
  return loaded.mistakes;
}

function file(text: string): string {
  const name = path.join(directory, 'journal.yaml');
  writeFileSync(name, text);
  return name;
}

const ENOUGH = ['--replica', '1', '--storage-directory', 'd'];

describe('loadConfig', () => {
  it('prefers flags to the environment, the environment to the file, the file to defaults', () => {
    const name = file('replica: 0\nack: quorum\nstorage:\n  directory: from-file\n');
    const env = { MERIDIAN_REPLICA: '1', MERIDIAN_STORAGE_DIRECTORY: 'from-env' };
    const given = load(['--config', name, '--replica=2'], env, { verbose: true, ack: 'ordered' });
    expect(config(given)).toEqual({
      listenAddress: '127.0.0.1:7401',
      replica: 2,
      ack: 'quorum',
      verbose: true,
      streams: [],
      peers: [],
      storage: { directory: 'from-env', segmentBytes: 64 * 1024 * 1024 },
    });
  });

  it('reads lists with commas, structures as YAML, and a bare flag as true', () => {
    const peers = '[{region: b, address: "h:1"}]';
    const given = config(load([...ENOUGH, '--streams', 'a,b', '--verbose', '--peers', peers]));
    expect(given.streams).toEqual(['a', 'b']);
    expect(given.peers).toEqual([{ region: 'b', address: 'h:1' }]);
    expect(given.verbose).toBe(true);
  });

  it('reports every mistake at once, each with place, finding and expectation', () => {
    const name = file('replica: two\nstorage:\n  segmentBytes: -1\n  directry: x\n');
    const list = mistakes(load(['--config', name, '--ack', 'never', '--listen-adress', 'x'], {}));
    expect(list).toEqual([
      '--listen-adress: unknown flag (did you mean --listen-address?); see --help',
      `${name}: storage.directry: unknown setting (did you mean directory?); see --help`,
      `${name}: replica: found "two"; expected number, received string`,
      '--ack: found "never"; Invalid option: expected one of "quorum"|"ordered"',
      'storage.directory: missing; give --storage-directory, MERIDIAN_STORAGE_DIRECTORY or storage.directory in the file',
      `${name}: storage.segmentBytes: found -1; Too small: expected number to be >0`,
    ]);
  });

  it('names every setting of a missing group', () => {
    expect(mistakes(load(['--replica', '1']))).toEqual([
      'storage: missing; give --storage-directory, MERIDIAN_STORAGE_DIRECTORY or storage.directory in the file; ' +
        '--storage-segment-bytes, MERIDIAN_STORAGE_SEGMENT_BYTES or storage.segmentBytes in the file',
    ]);
  });

  it('refuses a mistyped variable and leaves foreign ones alone', () => {
    const foreign = { MERIDIAN_JOURNAL_SERVICE_HOST: '10.0.0.1' };
    expect(load(ENOUGH, foreign).kind).toBe('config');
    // One letter from MERIDIAN_REPLICA, and known to the command line.
    expect(load(ENOUGH, { MERIDIAN_REPLICAS: 'a=127.0.0.1:1' }).kind).toBe('config');
    expect(mistakes(load(ENOUGH, { MERIDIAN_REPLCA: '2' }))).toEqual([
      'MERIDIAN_REPLCA: unknown environment variable (did you mean MERIDIAN_REPLICA?)',
    ]);
  });

  it('says which file cannot be read, and which is no map', () => {
    expect(mistakes(load([...ENOUGH, '--config', '/none.yaml']))[0]).toContain(
      '/none.yaml: cannot',
    );
    expect(mistakes(load([...ENOUGH, '--config', file('- 1')]))[0]).toContain('expected a map');
    expect(mistakes(load([...ENOUGH, '--config', file('a: [')]))[0]).toContain(
      'cannot be read as YAML',
    );
  });

  it('points into structures given as text', () => {
    expect(mistakes(load([...ENOUGH, '--peers', '[{region: b}]']))).toEqual([
      '--peers, at 0.address: found nothing; expected string, received undefined',
    ]);
  });

  it('refuses a flag without its value and a word that is no flag', () => {
    expect(mistakes(load([...ENOUGH, 'start', '--ack']))).toEqual([
      '"start": expected a flag (--name value); see --help',
      '--ack: expected a value after it',
    ]);
  });

  it('explains itself from the schema', () => {
    const help = load(['--help']);
    const text = help.kind === 'print' ? help.text : '';
    expect(text).toContain('--listen-address <string>\n      Where clients connect.\n');
    expect(text).toContain('default "127.0.0.1:7401"');
    expect(text).toContain('MERIDIAN_STORAGE_DIRECTORY; storage.directory in the file; required');
    expect(text).toContain('--ack <quorum|ordered>');
  });

  it('prints the settings in force without secrets', () => {
    const print = load([...ENOUGH, '--password', 'hunter2', '--print-config']);
    const text = print.kind === 'print' ? print.text : '';
    expect(text).toContain('replica: 1');
    expect(text).toContain('password: (secret)');
    expect(text).not.toContain('hunter2');
  });

  it('checks the settings without running anything', () => {
    expect(load([...ENOUGH, '--check-config'])).toEqual({ kind: 'print', text: 'ok\n' });
    expect(load(['--check-config']).kind).toBe('mistakes');
  });

  it('does not repeat a wrong secret', () => {
    const name = file('password: 12345\n');
    expect(mistakes(load([...ENOUGH, '--config', name])).join()).not.toContain('12345');
  });
});
