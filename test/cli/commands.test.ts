/** Every command against one journal, as processes: output, JSON, exit codes. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../services/cli/exit-codes.ts';
import { Dev, jsonOf } from './meridian.ts';
import type { Json } from './meridian.ts';

const TIMEOUT_MS = 600_000;

const dev = new Dev();
beforeAll(async () => {
  await dev.start();
});
afterAll(async () => {
  await dev.stop();
});

const bodies = (lines: readonly Json[]): unknown[] => lines.map(({ body }) => body);

/** A busy machine makes replicas deaf for moments: asks again until it holds. */
async function eventually(
  words: readonly string[],
  holds: (value: Json) => boolean,
): Promise<Json> {
  for (;;) {
    const { stdout } = await dev.run([...words, '-o', 'json']);
    const [value = {}] = stdout === '' ? [] : jsonOf(words, stdout);
    if (holds(value)) return value;
  }
}

describe.concurrent('append and read', { timeout: TIMEOUT_MS }, () => {
  it('appends arguments as one batch and reads them back as they were', async () => {
    const [first] = await dev.json(['append', 'greetings', 'hello', 'world', '--header', 'a=b']);
    expect(first).toMatchObject({
      stream: 'greetings',
      firstSeqNum: 0,
      recordCount: 2,
      duplicate: false,
    });
    expect((await dev.run(['read', 'greetings'])).stdout).toBe('hello\nworld\n');
    const [one, two, ...more] = await dev.json(['read', 'greetings']);
    expect(more).toEqual([]);
    expect(one).toMatchObject({
      type: 'record',
      seqNum: 0,
      key: null,
      headers: [['a', 'b']],
      body: 'hello',
    });
    expect(two).toMatchObject({
      seqNum: 1,
      recordOffset: 1,
      timestamp: one?.['timestamp'],
      body: 'world',
    });
    const verbose = await dev.run(['read', 'greetings', '-v', '--from-seq', '1']);
    expect(verbose.stdout).toMatch(/^greetings#1 {2}\d{4}-.*Z {2}a=b {2}world\n$/);
  });

  it('appends lines of files and of standard input, and JSON lines with keys and headers', async () => {
    const file = join(dev.directory, 'lines.txt');
    writeFileSync(file, 'one\ntwo\nthree\n');
    const json = '{"body":"AAE=","encoding":"base64","key":"aw==","headers":{"h":"eA=="}}\n';
    const [, piped, jsonLine] = await Promise.all([
      dev.json(['append', 'files', '--file', file, '--batch-records', '2']),
      dev.run(['append', 'stdin'], { input: 'x\ny\n' }),
      dev.json(['append', 'binary', '--format', 'json'], { input: json }),
    ]);
    expect(piped.stdout).toMatch(/^stdin #0–1 {2}\S+ {2}[abc]\n$/);
    expect(jsonLine).toHaveLength(1);
    expect(bodies(await dev.json(['read', 'files']))).toEqual(['one', 'two', 'three']);
    const [binary] = await dev.json(['read', 'binary', '--encoding', 'hex']);
    expect(binary).toMatchObject({
      body: '0001',
      key: '6b',
      headers: [['h', '78']],
      encoding: 'hex',
    });
    expect((await dev.run(['read', 'binary', '--raw'])).stdout).toBe('\u0000\u0001');
  });

  it('copies a stream through a pipe', async () => {
    await dev.run(['append', 'origin', 'a', 'b', '--key', 'k']);
    const copied = await dev.shell(
      'meridian read origin -o json | meridian append copy --format json',
    );
    expect(copied.code).toBe(0);
    const shown = ({ key, body }: Json): unknown => [key, body];
    expect((await dev.json(['read', 'copy'])).map(shown)).toEqual([
      ['k', 'a'],
      ['k', 'b'],
    ]);
  });

  it('starts and ends a read where it is told', async () => {
    await dev.json(['append', 'places', 'a', 'b']);
    const [second] = await dev.json(['append', 'places', 'c', 'd']);
    const middle = String(second?.['timestamp']);
    const read = async (...words: string[]): Promise<unknown[]> =>
      bodies(await dev.json(['read', 'places', ...words]));
    expect(
      await Promise.all([
        read('--from-seq', '3'),
        read('--last', '1'),
        read('--limit', '3'),
        read('--from-time', middle),
        read('--until', middle),
        read('--from-position', `${middle}/0`),
        read('--from-end'),
        read('--from-seq', '1', '--until-seq', '3'),
      ]),
    ).toEqual([['d'], ['d'], ['a', 'b', 'c'], ['c', 'd'], ['a', 'b'], ['d'], [], ['b', 'c']]);
  });

  it('reads by key, with the numbers that the records have, and appends only to what exists', async () => {
    for (const key of ['a/1', 'b/1', 'a/2', 'c'])
      await dev.json(['append', 'keyed', key, '--key', key]);
    const read = async (...words: string[]): Promise<unknown[]> =>
      (await dev.json(['read', 'keyed', ...words]))
        .filter(({ type }) => type === 'record')
        .map(({ seqNum, body }) => `${String(seqNum)} ${String(body)}`);
    expect(await read('--key-prefix', 'a/')).toEqual(['0 a/1', '2 a/2']);
    expect(await read('--key', 'b/1', '--key', 'c')).toEqual(['1 b/1', '3 c']);
    const nowhere = await dev.run(['append', 'nowhere', 'x', '--must-exist']);
    expect(nowhere.code).toBe(EXIT.notFound);
    expect(nowhere.stderr).toContain('nowhere');
  });

  it('appends a file once, however often it is started', async () => {
    const file = join(dev.directory, 'once.txt');
    writeFileSync(file, 'a\nb\nc\n');
    const words = ['append', 'once', '--file', file, '--writer', 'import', '--resume'];
    await dev.json(words);
    writeFileSync(file, 'a\nb\nc\nd\n');
    const again = await dev.run(words);
    expect(again.stderr).toContain('3 records there already');
    expect(bodies(await dev.json(['read', 'once']))).toEqual(['a', 'b', 'c', 'd']);
    const [writer] = await dev.json(['resolve', 'import']);
    expect(writer).toMatchObject({ known: true, epoch: 2, lastSeq: 4 });
    const [last] = await dev.json(['resolve', 'import', '--seq', '4']);
    expect(last).toMatchObject({ state: 'appended', firstSeqNum: 3 });
    expect(await dev.run(['resolve', 'nobody'])).toMatchObject({ code: 5 });
    expect(await dev.run(['resolve', 'import', '--seq', '99', '-q'])).toMatchObject({
      code: 7,
      stdout: 'pending\n',
    });
    const fenced = await dev.run(['resolve', 'import', '--seq', '99', '--epoch', '1', '-q']);
    expect(fenced).toMatchObject({ code: 9, stdout: 'never\n' });
  });

  it('refuses an append whose condition fails, and says so to people and programs', async () => {
    await dev.run(['append', 'conditions', 'x']);
    const words = ['append', 'conditions', 'y', '--match-seq-num', '7'];
    const human = await dev.run(words);
    expect(human).toMatchObject({ code: 3, stdout: '' });
    expect(human.stderr).toContain('CONDITION_FAILED: certainly no effect');
    const program = await dev.run([...words, '-o', 'json']);
    const { error } = JSON.parse(program.stderr) as { error: Json };
    expect(error).toMatchObject({
      reason: 'CONDITION_FAILED',
      details: { expected: '7', actual: '1' },
      noEffect: true,
      exitCode: 3,
    });
    const right = ['append', 'conditions', 'y', '--match-seq-num', '1', '--ack', 'quorum'];
    expect(await dev.json(right)).toHaveLength(1);
  });

  it('tails until Ctrl-C, which is no failure, and until a limit', async () => {
    await dev.run(['append', 'tailed', 'a', 'b', 'c']);
    const tail = await dev.run(['tail', 'tailed', '-n', '2'], { interruptAt: /c\n/ });
    expect(tail).toMatchObject({ code: 0, stdout: 'b\nc\n' });
    const followed = await dev.shell(
      'meridian tail tailed --last 1 --limit 2 | { read one; meridian append tailed d -q; cat; }',
    );
    expect(followed).toMatchObject({ code: 0, stdout: 'd\n' });
  });

  it('does not crash when the reader of its output goes away', async () => {
    const input = Array.from({ length: 20_000 }, (_, at) => `line ${at}`).join('\n');
    await dev.run(['append', 'long', '-q'], { input });
    const cut = await dev.shell('meridian read long | head -n 1');
    expect(cut).toMatchObject({ code: 0, stdout: 'line 0\n', stderr: '' });
  });
});

describe.concurrent('questions', { timeout: TIMEOUT_MS }, () => {
  it('answers tails and read points', async () => {
    await dev.run(['append', 'asked', 'x', 'y']);
    const [tail] = await dev.json(['check-tail', 'asked']);
    expect(tail).toMatchObject({ stream: 'asked', nextSeqNum: 2, local: null });
    expect((await dev.run(['check-tail', 'asked', '-q'])).stdout).toBe('2\n');
    const [local] = await dev.json(['check-tail', 'asked', '--local', '--region', 'a']);
    expect(local).toMatchObject({ nextSeqNum: 2, readPoint: null, local: { stalled: false } });
    const [heartbeat] = await dev.json(['heartbeat', '--wait']);
    expect(heartbeat).toMatchObject({ covered: true });
    expect(Number(heartbeat?.['readPoint'])).toBeGreaterThanOrEqual(Number(tail?.['timestamp']));
    expect(await dev.run(['check-tail', 'nowhere'])).toMatchObject({ code: 5 });
  });

  it('explains where a record lives', async () => {
    const [appended] = await dev.json(['append', 'explained', 'a', 'b', '--writer', 'w-1']);
    const [found] = await dev.json(['explain', 'explained', '1']);
    expect(found).toMatchObject({
      record: { stream: 'explained', seqNum: 1, firstSeqNum: 0, writer: { id: 'w-1' } },
      timestamp: appended?.['timestamp'],
    });
    // Only the home of a lane ever adds records to it.
    expect(found?.['writer']).toBe(found?.['home']);
    expect(found?.['path']).not.toBeNull();
    const [entry] = await dev.json(['explain', '--timestamp', String(appended?.['timestamp'])]);
    expect(entry).toMatchObject({ record: null, index: found?.['index'] });
    expect(found?.['copies']).toBeGreaterThanOrEqual(2);
    expect(await dev.run(['explain', 'explained', '99'])).toMatchObject({ code: 5 });
    expect(await dev.run(['explain', 'nowhere', '0'])).toMatchObject({ code: 5 });
  });
});

describe.concurrent('streams, fencing and leases', { timeout: TIMEOUT_MS }, () => {
  it('creates, lists, describes, configures and deletes streams', async () => {
    const create = ['streams', 'create', 'st/a'];
    expect(await dev.json(create)).toEqual([{ stream: 'st/a', created: true }]);
    expect(await dev.json(create)).toEqual([{ stream: 'st/a', created: false }]);
    await dev.json(['streams', 'create', 'st/b', '--fencing', 'required']);
    const listed = await dev.json(['streams', 'list', '--prefix', 'st/']);
    expect(listed.map(({ stream, fencing }) => [stream, fencing])).toEqual([
      ['st/a', 'none'],
      ['st/b', 'required'],
    ]);
    const names = await dev.run(['streams', 'list', '--prefix', 'st/', '-q']);
    expect(names.stdout).toBe('st/a\nst/b\n');
    const configured = await dev.json(['streams', 'configure', 'st/a', '--fencing', 'required']);
    expect(configured).toEqual([{ stream: 'st/a', fencing: 'required' }]);
    expect(await dev.json(['streams', 'describe', 'st/a'])).toMatchObject([
      { nextSeqNum: 0, lease: null },
    ]);
    await dev.json(['streams', 'delete', 'st/a']);
    expect(await dev.run(['streams', 'describe', 'st/a'])).toMatchObject({ code: 5 });
    expect(await dev.run(['streams', 'delete', 'st/a'])).toMatchObject({ code: 5 });
  });

  it('fences and trims', async () => {
    await dev.run(['streams', 'create', 'fenced', '--fencing', 'required']);
    expect(await dev.run(['append', 'fenced', 'x'])).toMatchObject({ code: 4 });
    expect(await dev.json(['fence', 'fenced'])).toEqual([{ stream: 'fenced', token: 1 }]);
    await dev.json(['append', 'fenced', 'a', 'b', 'c', '--fencing-token', '1']);
    await dev.json(['append', 'fenced', 'd'], { env: { MERIDIAN_FENCING_TOKEN: '1' } });
    expect(await dev.run(['fence', 'fenced', '--expected', '5'])).toMatchObject({ code: 3 });
    expect(await dev.run(['fence', 'fenced', '--token', '0'])).toMatchObject({ code: 4 });
    const trimmed = await dev.json(['trim', 'fenced', '--keep', '1', '--fencing-token', '1']);
    expect(trimmed).toEqual([{ stream: 'fenced', firstSeqNum: 3 }]);
    const [gap, left] = await dev.json(['read', 'fenced', '--from-seq', '1']);
    expect(gap).toMatchObject({ gap: { kind: 'trimmed', seqNums: { from: 1, to: 3 } } });
    expect(left).toMatchObject({ seqNum: 3, body: 'd' });
    const beyond = await dev.run(['trim', 'fenced', '--before', '99', '--fencing-token', '1']);
    expect(beyond.code).toBe(5);
  });

  it('acquires, renews, inspects and releases a lease', async () => {
    await dev.run(['streams', 'create', 'leased']);
    const [lease] = await dev.json([
      'lease',
      'acquire',
      'leased',
      '--holder',
      'me',
      '--ttl',
      '20m',
    ]);
    expect(lease).toMatchObject({ stream: 'leased', holder: 'me', token: 1 });
    const held = await dev.run(['lease', 'acquire', 'leased', '--holder', 'you']);
    expect(held).toMatchObject({ code: 4 });
    expect(held.stderr).toContain('LEASE_HELD');
    const own = ['leased', '--holder', 'me', '--token', '1'];
    const [renewed] = await dev.json(['lease', 'renew', ...own, '--ttl', '40m']);
    expect(Number(renewed?.['expiresAt'])).toBeGreaterThan(Number(lease?.['expiresAt']));
    expect(await dev.json(['lease', 'inspect', 'leased'])).toMatchObject([
      { held: true, fencingToken: 1 },
    ]);
    expect(await dev.json(['lease', 'release', ...own])).toMatchObject([{ released: true }]);
    expect(await dev.json(['lease', 'release', ...own])).toMatchObject([{ released: false }]);
    expect(await dev.run(['lease', 'renew', ...own])).toMatchObject({ code: 4 });
  });

  it('holds a lease while a command runs, and ends the command when the lease is lost', async () => {
    await dev.run(['streams', 'create', 'held', '--fencing', 'required']);
    const inner = 'meridian append held x && exit 7';
    const done = await dev.shell(
      `export -f meridian; meridian lease hold held --holder me -- bash -c '${inner}'`,
    );
    expect(done.code).toBe(7);
    expect(await dev.json(['lease', 'inspect', 'held'])).toMatchObject([{ held: false }]);
    const outer = 'meridian fence held; sleep 600';
    const { code, stderr } = await dev.shell(
      `export -f meridian; meridian lease hold held --ttl 6s -- bash -c '${outer}'`,
    );
    expect(code).toBe(4);
    expect(stderr).toContain('LEASE_LOST');
  });
});

describe('operations', { timeout: TIMEOUT_MS }, () => {
  it('shows the status of all replicas', async () => {
    const everyone = { a: { b: true, c: true }, b: { a: true, c: true }, c: { a: true, b: true } };
    const status = await eventually(
      ['status', '--deadline', '30s'],
      ({ hears }) => JSON.stringify(hears) === JSON.stringify(everyone),
    );
    const replicas = status['replicas'] as Json[];
    expect(replicas.map(({ region, answers }) => [region, answers])).toEqual([
      ['a', true],
      ['b', true],
      ['c', true],
    ]);
    expect((replicas[0]?.['state'] as { disk: Json }).disk['totalBytes']).toBeGreaterThan(0);
    expect((await dev.run(['status', '--deadline', '30s'])).stdout).toContain(
      '3 of 3 replicas answer',
    );
    const watched = await dev.run(['status', '--watch', '100ms'], {
      interruptAt: /who hears whom/,
    });
    expect(watched.code).toBe(0);
  });

  it('compares replicas, judges an impact, tells versions', async () => {
    expect(await dev.json(['digest', '--wait', '2m', '--deadline', '30s'])).toMatchObject([
      { equal: true, covered: true, missing: [] },
    ]);
    const words = ['check-impact', '--deadline', '30s'];
    const impact = await eventually(words, ({ allowed }) => allowed === true);
    expect(impact['regions']).toHaveLength(3);
    const [{ version = '' } = {}] = await dev.json(['version']);
    const [all] = await dev.json(['version', '--replicas-too', '--deadline', '30s']);
    expect(all?.['replicas']).toEqual(['a', 'b', 'c'].map((region) => ({ region, version })));
  });

  it('verifies the directory of a running replica, and finds a flipped bit', async () => {
    const directory = dev.replicas[2]?.dataDirectory ?? '';
    const [report] = await dev.json(['verify', directory]);
    expect(report).toMatchObject({ sound: true, inUseBy: dev.replicas[2]?.pid });
    const copy = join(dev.directory, 'copy');
    await dev.shell(`cp -r '${directory}' '${copy}'`);
    const segment = join(copy, '0000000001.log');
    const bytes = readFileSync(segment);
    bytes[400] = (bytes[400] ?? 0) ^ 1;
    writeFileSync(segment, bytes);
    const damaged = await dev.run(['verify', copy]);
    expect(damaged.code).toBe(9);
    expect(damaged.stdout).toMatch(/DAMAGED\n {2}0000000001\.log, offset \d+: /);
    expect(await dev.run(['verify', '/nonexistent'])).toMatchObject({ code: 5 });
  });

  it('measures the journal that is meant', async () => {
    const [figures] = await dev.json([
      'bench',
      '--seconds',
      '1',
      '--inflight',
      '4',
      '--ack',
      'quorum',
      '--bytes',
      '100',
    ]);
    expect(figures).toMatchObject({ bench: 'append', bytes: 100, seconds: 1 });
    expect((figures?.['rows'] as Json[]).length).toBe(2);
  });

  it('tells that a replica is gone, goes on, and says which region must stay', async () => {
    process.kill(dev.replicas[2]?.pid ?? 0, 'SIGKILL');
    expect(await dev.run(['append', 'after', 'x'])).toMatchObject({ code: 0 });
    const status = await dev.run(['status', '--check', '-o', 'json']);
    expect(status.code).toBe(9);
    expect(status.stdout).toContain('c does not answer');
    await eventually(['check-impact', 'c', '--deadline', '30s'], ({ allowed }) => allowed === true);
    expect(await dev.run(['check-impact', 'b'])).toMatchObject({ code: 9 });
    const digest = await dev.run(['digest', '--wait', '5s']);
    expect(digest).toMatchObject({ code: 6 });
    expect(digest.stderr).toContain('c does not answer');
  });
});

it('ends in order when dev is told to', async () => {
  expect(await dev.stop()).toBe(0);
});
