/**
 * JSON over HTTP against real replicas: every example of services/journal/HTTP.md as it stands there, run
 * by a shell, and what must hold when clients do not behave.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSettled, until } from './cluster.ts';
import { HttpCluster } from './http-cluster.ts';

const cluster = new HttpCluster({ slowReaderMs: 5000 }, { httpReadsMax: 3 });
let base: string;

beforeAll(async () => {
  await cluster.start();
  base = cluster.baseOf(0);
});

afterAll(async () => {
  await cluster.stop();
});

describe('the examples of HTTP.md', () => {
  /** By heading, in the order of the page; the blocks of one page share a journal. */
  const expectations: Readonly<Record<string, (output: string) => void>> = {
    'Append a record': (output) => {
      expect(JSON.parse(output)).toMatchObject({ firstSeqNum: 0, recordCount: 1, region: 'r0' });
    },
    'Append several records as one batch': (output) => {
      expect(JSON.parse(output)).toMatchObject({ firstSeqNum: 1, recordCount: 3 });
    },
    'Append on a condition': (output) => {
      const [first, second] = lines(output);
      expect(first).toMatchObject({ firstSeqNum: 4 });
      const metadata = { condition: 'matchSeqNum', expected: '4', actual: '5' };
      const failure = { debug: { reason: 'CONDITION_FAILED', noEffect: true } };
      const info = { debug: { reason: 'CONDITION_FAILED', metadata } };
      expect(second).toMatchObject({ code: 'failed_precondition', details: [info, failure] });
    },
    'Append once, however often it is sent': (output) => {
      expect(lines(output)).toMatchObject([
        { firstSeqNum: 5, duplicate: false },
        { firstSeqNum: 5, duplicate: true },
      ]);
    },
    'Read a page': (output) => {
      const page = JSON.parse(output) as { records: { after: string }[]; after: string };
      expect(page.records).toMatchObject([
        { type: 'record', seqNum: 1, key: 'k1', body: 'with a key', encoding: 'utf8' },
        { seqNum: 2, headers: [['lang', 'en']] },
      ]);
      expect(page).toMatchObject({ gaps: [], watermark: null });
    },
    'Read the last records as lines': (output) => {
      expect(lines(output)).toMatchObject([{ seqNum: 4 }, { seqNum: 5, body: 'once' }]);
    },
    'Read all streams in their one order': (output) => {
      const { records } = JSON.parse(output) as { records: object[] };
      expect(records).toMatchObject([{ seqNum: 0 }, { seqNum: 1 }, { seqNum: 2 }]);
    },
    'Tail a stream': (output) => {
      expect(lines(output)).toMatchObject([{ type: 'record', seqNum: 5 }]);
    },
    'Tail as server-sent events': (output) => {
      const [first = '', ...rest] = output.split('\n\n');
      expect(first).toMatch(/^event: record\nid: \d+\/\d+\ndata: \{"type":"record"/);
      expect(rest.some((event) => event.startsWith('event: progress'))).toBe(true);
    },
    'Tail of a stream, linearizable': (output) => {
      expect(JSON.parse(output)).toMatchObject({ nextSeqNum: '6' });
    },
    Heartbeat: (output) => {
      const { readPoint, watermark } = JSON.parse(output) as Record<string, string>;
      expect(Number(watermark)).toBeGreaterThanOrEqual(Number(readPoint));
    },
    Status: (output) => {
      expect(JSON.parse(output)).toMatchObject({ region: 'r0', voting: true });
    },
    Streams: (output) => {
      const streams = [{ stream: 'greetings', nextSeqNum: '6' }];
      expect(JSON.parse(output)).toMatchObject({ streams });
    },
    'An error': (output) => {
      const detail = { debug: { reason: 'STREAM_NOT_FOUND', metadata: { stream: 'nothing' } } };
      expect(JSON.parse(output)).toMatchObject({ code: 'not_found', details: [detail, {}] });
    },
  };

  const page = readFileSync(new URL('../../services/journal/HTTP.md', import.meta.url), 'utf8');
  const examples = [...page.matchAll(/^### (.*)\n(?:(?!^#)[^])*?```sh\n([^]*?)```/gm)].map(
    ([, title = '', script = '']) => ({ title, script }),
  );

  it('are all looked at', () => {
    expect(examples.map(({ title }) => title)).toEqual(Object.keys(expectations));
    expect(page.match(/```sh/g)).toHaveLength(examples.length + 1);
  });

  it.each(examples)('$title', ({ title, script }) => {
    const env = { PATH: process.env['PATH'], JOURNAL: base };
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    const run = spawnSync('bash', ['-e', '-c', script], {
      env,
      stdio: [...stdio],
      encoding: 'utf8',
    });
    expect([run.stderr, run.status]).toEqual(['', 0]);
    expectations[title]?.(run.stdout);
  });

  function lines(output: string): unknown[] {
    return output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as unknown);
  }
});

function append(stream: string, body: string, query = ''): Promise<Response> {
  const headers = { 'content-type': 'text/plain' };
  return fetch(`${base}/v1/streams/${stream}/records${query}`, { method: 'POST', headers, body });
}

async function reasonOf(response: Response): Promise<string> {
  const { details, message } = (await response.json()) as {
    details?: { debug: { reason: string } }[];
    message: string;
  };
  return details?.[0]?.debug.reason ?? message;
}

it('takes bytes as they are, and names of any characters', async () => {
  const url = `${base}/v1/streams/${encodeURIComponent('a/b ü')}/records`;
  const headers = { 'content-type': 'application/octet-stream' };
  const body = Buffer.from([0, 255, 128]);
  expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(200);
  const { records } = (await (await fetch(url)).json()) as { records: object[] };
  expect(records).toMatchObject([{ stream: 'a/b ü', body: 'AP+A', encoding: 'base64' }]);
  expect((await readSettled(cluster, 1)).lines.some((line) => line.includes('a/b ü#0'))).toBe(true);
});

it('says what is wrong with a request, and nothing of it is appended', async () => {
  const wrong: [Promise<Response>, string][] = [
    [append('bad', 'x', '?matchSeqNun=1'), 'INVALID'],
    [append('bad', 'x', '?matchSeqNum=-1'), 'INVALID'],
    [append('bad', 'x', '?ack=maybe'), 'INVALID'],
    [append('bad', 'x', '?writer=a'), 'INVALID'],
    [append('bad', 'x', '?mustExist=true'), 'STREAM_NOT_FOUND'],
    [append('x'.repeat(300), 'x'), 'INVALID'],
    [append('bad', 'x'.repeat(3 << 20)), 'TOO_LARGE'],
    [append('bad', 'x'.repeat(1 << 20)), 'TOO_LARGE'],
    [fetch(`${base}/v1/streams/bad/records?last=1`), 'STREAM_NOT_FOUND'],
    [fetch(`${base}/v1/streams/greetings/records?fromSeqNum=99`), 'OUT_OF_RANGE'],
    [fetch(`${base}/v1/records?fromSeqNum=1`), 'INVALID'],
    [fetch(`${base}/v1/records?last=1&after=1/0`), 'INVALID'],
    [fetch(`${base}/v1/records?limit=0`), 'INVALID'],
  ];
  for (const [answer, reason] of wrong) expect(await reasonOf(await answer)).toBe(reason);
  const form = await fetch(`${base}/v1/streams/bad/records`, {
    method: 'POST',
    body: new URLSearchParams({ a: 'b' }),
  });
  expect([form.status, await reasonOf(form)]).toEqual([415, expect.stringContaining('text/plain')]);
  expect(await reasonOf(await fetch(`${base}/v1/streams/bad/records`))).toBe('STREAM_NOT_FOUND');
});

it('goes on after a position, page by page, inside of batches too', async () => {
  const records = Array.from({ length: 7 }, (_, i) => ({ body: `p${i}` }));
  const headers = { 'content-type': 'application/json' };
  const url = `${base}/v1/streams/pages/records`;
  await fetch(url, { method: 'POST', headers, body: JSON.stringify(records) });
  const bodies: string[] = [];
  let after = '';
  for (let watermark: number | null = null; watermark === null;) {
    const answer = await fetch(`${url}?limit=3${after}`);
    const page = (await answer.json()) as {
      records: { body: string }[];
      after: string;
      watermark: number | null;
    };
    bodies.push(...page.records.map(({ body }) => body));
    after = `&after=${page.after}`;
    watermark = page.watermark;
  }
  expect(bodies).toEqual(records.map(({ body }) => body));
});

it('bounds open reads, and cuts off one that takes nothing while others go on', async () => {
  const big = 'x'.repeat(900_000);
  for (let i = 0; i < 30; i += 1) expect((await append('big', big)).status).toBe(200);
  const lazy: Socket[] = [1, 2, 3].map(() => {
    const socket = connect(cluster.httpPorts[0] ?? 0, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write('GET /v1/streams/big/records?follow=true HTTP/1.1\r\nhost: localhost\r\n\r\n');
    return socket;
  });
  try {
    const more = `${base}/v1/streams/big/records?follow=true`;
    await until(async () => (await cluster.status(0)).readers === 3n);
    const refused = await fetch(more);
    expect([refused.status, await reasonOf(refused)]).toEqual([429, 'OVERLOADED']);
    expect((await append('greetings', 'meanwhile')).status).toBe(200);
    // They are cut off, and their places are free again.
    await until(async () => {
      const answer = await fetch(more);
      await answer.body?.cancel();
      return answer.status === 200;
    });
  } finally {
    for (const socket of lazy) socket.destroy();
  }
  await until(async () => (await cluster.status(0)).readers === 0n);
});

it('serves the console under a strict policy, and nothing else of the disk', async () => {
  const frame = await fetch(`${base}/`);
  expect([frame.status, new URL(frame.url).pathname]).toEqual([200, '/console/']);
  expect(frame.headers.get('content-security-policy')).toContain(
    "default-src 'none'; script-src 'self'",
  );
  const html = await frame.text();
  const named = [...html.matchAll(/(?:src|href)="([\w-]+\.\w+)"/g)].map(([, name = '']) => name);
  expect(new Set(named)).toEqual(new Set(['console.css', 'narrow.css', 'console.js', 'icon.svg']));
  for (const name of named) {
    const file = await fetch(`${base}/console/${name}`);
    expect([name, file.status]).toEqual([name, 200]);
    const headers = { 'if-none-match': file.headers.get('etag') ?? '' };
    expect((await fetch(`${base}/console/${name}`, { headers })).status).toBe(304);
  }
  for (const name of ['README.md', '..%2fcli%2fmain.ts', '%2e%2e/journal/main.ts', 'none.js']) {
    expect([name, (await fetch(`${base}/console/${name}`)).status]).toEqual([name, 404]);
  }
});

interface Overview {
  readonly self: number;
  readonly replicas: readonly {
    readonly region: string;
    readonly view: null | {
      readonly status: { readonly region: string; readonly readLatency: { count: string } };
      readonly events: readonly { readonly message: string; readonly warning: boolean }[];
      readonly reads: readonly { readonly stream: string }[];
    };
    readonly error: null | { readonly code: string };
  }[];
}

async function overviewOf(replica: number): Promise<Overview> {
  const url = `${cluster.baseOf(replica)}/console/overview`;
  return (await (await fetch(url)).json()) as Overview;
}

it('shows all three regions from any of them, with open reads and what was told', async () => {
  const stop = new AbortController();
  const { signal } = stop;
  await fetch(`${base}/v1/streams/greetings/records?follow=true`, { signal });
  await until(async () => {
    const all = await Promise.all([0, 1, 2].map(overviewOf));
    expect(all.map(({ self }) => self)).toEqual([0, 1, 2]);
    for (const { replicas } of all) {
      expect(replicas.map(({ view }) => view?.status.region)).toEqual(['r0', 'r1', 'r2']);
      expect(replicas[0]?.view?.reads.map(({ stream }) => stream)).toContain('greetings');
      const told = replicas.map(({ view }) => view?.events.map(({ message }) => message));
      for (const messages of told) expect(messages).toContain('serving');
    }
    return true;
  });
  stop.abort();
});

it('answers NO_QUORUM when the replica is alone, and reads go on', async () => {
  await cluster.kill(1);
  await cluster.kill(2);
  await until(async () => (await reasonOf(await append('greetings', 'alone'))) === 'NO_QUORUM');
  const page = await fetch(`${base}/v1/streams/greetings/records`);
  expect(page.status).toBe(200);
  expect(((await page.json()) as { records: object[] }).records.length).toBeGreaterThan(5);
  await until(async () => {
    const { replicas } = await overviewOf(0);
    expect(replicas.map(({ error }) => error?.code)).toEqual([
      undefined,
      'unavailable',
      'unavailable',
    ]);
    return replicas[0]?.view?.events.some(({ warning }) => warning) === true;
  });
});
