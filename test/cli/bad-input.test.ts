/** Bad input to every command, and commands that need no journal. Nothing listens anywhere here. */
import { describe, expect, it } from 'vitest';
import { TABLE } from '../../services/cli/table/table.ts';
import { meridian } from './meridian.ts';

/** Nobody listens on the discard port. */
const NOBODY = {
  MERIDIAN_CLUSTER: 'c',
  MERIDIAN_INSTANCE: 'i',
  MERIDIAN_REPLICAS: 'a=127.0.0.1:9,b=127.0.0.1:9',
};

/** For every command a line that is wrong, and what it is told. */
const WRONG: Readonly<Record<string, readonly [words: string[], problem: string]>> = {
  append: [['s', 'x', '--ack', 'maybe'], '--ack maybe: expected one of quorum, ordered'],
  read: [['s', '--from-seq', '1', '--last', '2'], 'where to start?'],
  tail: [['--last', '5'], '--last needs a stream'],
  heartbeat: [['now'], 'one argument too many'],
  'streams list': [['--limit', '0'], '--limit 0: expected a whole number, 1 at least'],
  'streams create': [[], '<stream> is missing'],
  'streams describe': [['s', '--fast'], 'unknown option --fast'],
  'streams configure': [['s'], 'what to change?'],
  'streams delete': [[], '<stream> is missing'],
  'check-tail': [['s', '--locl'], 'did you mean --local?'],
  fence: [['s', '--token', 'x'], '--token x: expected a whole number'],
  trim: [['s', '--keep', '1', '--before', '2'], 'Give either --before or --keep'],
  resolve: [['w', '--epoch', '1'], '--epoch needs --seq'],
  'lease acquire': [['s', '--ttl', '2 days'], '--ttl 2 days: expected a duration'],
  'lease renew': [['s', '--token', '1'], '--holder is missing'],
  'lease release': [['s', '--holder', 'h'], '--token is missing'],
  'lease inspect': [[], '<stream> is missing'],
  'lease hold': [['s', '--ttl', '1ms'], '500 ms at least'],
  status: [['--watch', '1ms'], '100 ms at least'],
  'check-impact': [['z'], 'region z is none of a, b'],
  digest: [['--wait', 'long'], '--wait long: expected a duration'],
  verify: [[], '<directory> is missing'],
  explain: [['s'], 'which record?'],
  dev: [['--regions', 'a,b'], 'expected three different names'],
  bench: [['--inflight', '1,x'], '--inflight 1,x: expected numbers'],
  'certs authority': [['--days', 'x'], '--days x: expected a whole number'],
  'certs issue': [[], '<principal> is missing'],
  'certs show': [[], '<file> is missing'],
  'token create': [[], '--secret-file is missing'],
  'token narrow': [[], '--token-file is missing'],
  'token secret': [[], '<file> is missing'],
  'token show': [[], '--token-file is missing'],
  'pg status': [['--cluster', 'c', '--fast'], 'unknown option --fast'],
  'pg promote': [['--cluster', 'c', '--wait', 'long'], '--wait long: expected a duration'],
  'pg rejoin': [['--cluster', 'c'], '--region is missing'],
  'instances list': [['-q'], '--crossbar is missing'],
  'instances join': [['three', '--number', '70000'], '--number 70000: expected a whole number'],
  'instances leave': [['two', '--crossbar', 'a:1'], '--leaving is missing'],
  'instances renew': [['now', '--crossbar', 'a:1'], 'one argument too many'],
  restore: [['file:///somewhere'], '<directory> is missing'],
  'archive status': [[], '<archive> is missing'],
  'archive hold': [['./archive', 'w', '--for', '1ms'], '1 s at least'],
  'archive release': [['./archive'], '<name> is missing'],
  'archive clean': [['./archive'], 'what may go?'],
  doctor: [['--sidecars', 'a'], 'did you mean --sidecar?'],
  completion: [['tcsh'], '<shell> tcsh: expected one of bash, zsh, fish'],
  version: [['2'], 'one argument too many'],
  help: [['appendd'], 'did you mean append?'],
};

describe('bad input', () => {
  it('is tried on every command', () => {
    const names = TABLE.commands.map(({ path }) => path.join(' '));
    expect(Object.keys(WRONG).sort()).toEqual([...names].sort());
  });

  it.concurrent.each(Object.entries(WRONG))(
    '%s: exit code 2, says what is expected',
    async (name, [words, problem]) => {
      const result = await meridian([...name.split(' '), ...words], { env: NOBODY });
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toContain(problem);
      expect(result.stderr).not.toContain('    at ');
    },
  );

  it('names the commands of a group, and a file that is not there without a stack', async () => {
    const [group, wrong, file] = await Promise.all([
      meridian(['lease']),
      meridian(['streams', 'lst']),
      meridian(['certs', 'show', '/nowhere/ca.pem']),
    ]);
    expect(group).toMatchObject({ code: 2 });
    expect(group.stderr).toContain('meridian lease: which command? expected one of acquire, renew');
    expect(group.stderr).toContain('`meridian help lease` tells more.');
    expect(wrong.stderr).toContain('there is no streams lst: expected one of list');
    expect(wrong.stderr).toContain('did you mean list?');
    expect(file).toMatchObject({
      code: 1,
      stderr: 'meridian: /nowhere/ca.pem: no such file or directory\n',
    });
  });

  it('is told to programs as JSON', async () => {
    const { code, stderr } = await meridian(['status', '--nonsense', '-o', 'json']);
    expect(code).toBe(2);
    expect(JSON.parse(stderr)).toMatchObject({ error: { reason: 'USAGE', exitCode: 2 } });
  });

  it('of records names file and line', async () => {
    const words = ['append', 's', '--format', 'json'];
    const { code, stderr } = await meridian(words, { input: '{"body":7}\n', env: NOBODY });
    expect(code).toBe(1);
    expect(stderr).toContain('-, line 1: expected body, a text');
  });
});

describe('without a journal', () => {
  it('says how to name one', async () => {
    const { code, stderr } = await meridian(['status']);
    expect(code).toBe(2);
    expect(stderr).toContain('which journal? Say it in one of three ways');
  });

  it('says that nobody answers, and that nothing happened', async () => {
    const [status, append, tail] = await Promise.all([
      meridian(['status'], { env: NOBODY }),
      meridian(['append', 's', 'x', '--deadline', '500ms'], { env: NOBODY }),
      meridian(['check-tail', 's', '--deadline', '500ms'], { env: NOBODY }),
    ]);
    expect(status).toMatchObject({ code: 6 });
    expect(append).toMatchObject({ code: 6, stdout: '' });
    expect(append.stderr).toContain('UNAVAILABLE: certainly no effect');
    expect(append.stderr).toContain('no connection: connect ECONNREFUSED 127.0.0.1:9');
    // A question changes nothing, whatever becomes of it.
    expect(tail).toMatchObject({ code: 6, stdout: '' });
    expect(tail.stderr).not.toContain('effect');
  });

  it('prints help, topics, versions and completions at once', async () => {
    const [alone, help, group, topic, version, fish] = await Promise.all([
      meridian([]),
      meridian(['lease', 'hold', '--help']),
      meridian(['lease', '--help']),
      meridian(['help', 'exit-codes']),
      meridian(['--version']),
      meridian(['completion', 'fish']),
    ]);
    expect(alone.stdout).toContain('Usage: meridian <command>');
    expect(help.stdout).toContain('Usage: meridian lease hold <stream>');
    expect(group.stdout).toMatch(/^ +meridian lease hold +/m);
    expect(topic.stdout).toMatch(/^ +3 +the condition did not hold/m);
    expect(version.stdout).toMatch(/^meridian \d+\.\d+\.\d+\n$/);
    expect(fish.stdout).toContain('complete -c meridian');
    for (const { code } of [alone, help, group, topic, version, fish]) expect(code).toBe(0);
  });

  it('loads no network library for help', async () => {
    const preload = `import { createRequire } from 'node:module';
      const { cache } = createRequire('/x.js');
      const heavy = () => Object.keys(cache).filter((file) => /grpc-js|pino/.test(file)).length;
      process.on('exit', () => console.error('heavy modules: ' + heavy()));`;
    const url = `data:text/javascript,${encodeURIComponent(preload)}`;
    const env = { ...NOBODY, NODE_OPTIONS: `--import=${url}` };
    const [help, heartbeat] = await Promise.all([
      meridian(['help', 'append'], { env }),
      meridian(['heartbeat', '--deadline', '100ms'], { env }),
    ]);
    expect(help.stderr).toBe('heavy modules: 0\n');
    expect(heartbeat.stderr).toMatch(/heavy modules: [1-9]/);
  });
});
