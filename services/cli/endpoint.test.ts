import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readValues } from './arguments.ts';
import { resolveEndpoint } from './endpoint.ts';
import { TABLE, optionsOf } from './table/table.ts';

const command = TABLE.commands.find(({ path }) => path[0] === 'status');
let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-endpoint-'));
  file = join(directory, 'config.yaml');
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const FILE = `current: prod
contexts:
  prod: { cluster: prod, instance: orders, deadline: 10s, replicas: { eu: '10.0.0.1:1', us: '10.0.0.2:1' } }
  test: { cluster: test, instance: t, region: b, replicas: { a: '127.0.0.1:1', b: '127.0.0.1:2' } }
`;

function resolve(words: readonly string[], environment: Record<string, string> = {}) {
  if (command === undefined) throw new Error('no such command');
  const values = readValues(command, optionsOf(command), words, 0);
  return resolveEndpoint(values, { XDG_CONFIG_HOME: directory, ...environment }, command);
}

const SURROUNDINGS = {
  MERIDIAN_CLUSTER: 'env',
  MERIDIAN_INSTANCE: 'i',
  MERIDIAN_REPLICAS: 'x=h:1,y=h:2',
};

describe('which journal is meant', () => {
  it('is told by options before the environment', async () => {
    expect(await resolve(['--cluster', 'opt', '--deadline', '5s'], SURROUNDINGS)).toEqual({
      cluster: 'opt',
      instance: 'i',
      replicas: [
        { region: 'x', address: 'h:1' },
        { region: 'y', address: 'h:2' },
      ],
      deadlineMs: 5000,
    });
  });

  it('is told by a context that is named, and the environment then does not count', async () => {
    writeFileSync(file, FILE);
    const endpoint = await resolve(['--config', file, '--context', 'test'], SURROUNDINGS);
    expect(endpoint).toMatchObject({ cluster: 'test', instance: 't', region: 'b' });
  });

  it('is told by the current context of the file when nothing else says it', async () => {
    writeFileSync(file, FILE);
    const endpoint = await resolve([], { MERIDIAN_CONFIG: file });
    expect(endpoint).toMatchObject({ cluster: 'prod', instance: 'orders', deadlineMs: 10_000 });
    expect((await resolve([], { ...SURROUNDINGS, MERIDIAN_CONFIG: file })).cluster).toBe('env');
  });

  it.each([
    [[], {}, 'which journal? Say it in one of three ways'],
    [['--cluster', 'c'], {}, '--instance is missing'],
    [['--replicas', 'eu'], {}, '--replicas: eu: expected region=host:port'],
    [['--replicas', 'a=h:1,a=h:2'], {}, 'region a is given twice'],
    [['--region', 'z'], SURROUNDINGS, 'region z is none of x, y'],
    [['--context', 'prod'], {}, 'there is no configuration file'],
    [['--config', '/nowhere/config.yaml'], {}, 'there is no such configuration file'],
  ])('%j: %s', async (words, environment, problem) => {
    await expect(resolve(words, environment)).rejects.toThrow(problem);
  });

  it('says what is wrong with the file, and which contexts there are', async () => {
    writeFileSync(file, FILE);
    const at = ['--config', file];
    await expect(resolve([...at, '--context', 'tset'])).rejects.toThrow('did you mean test?');
    writeFileSync(file, 'contexts: { a: { cluster: c, instance: i, replicas: { r: nowhere } } }');
    await expect(resolve(at)).rejects.toThrow(/contexts.*host:port/s);
    writeFileSync(file, FILE.replace('current: prod\n', ''));
    await expect(resolve(at)).rejects.toThrow('there are prod, test');
  });
});
