import { expect, test } from 'vitest';
import { loadConfig } from '../../libs/config/config.ts';
import { lsn } from '../../libs/postgres/lsn.ts';
import { sidecarSchema } from './config.ts';
import { comparePositions } from './delivered.ts';
import { LinearizableReads } from './reads.ts';
import { RecentTransactions } from './recent-transactions.ts';
import { ShipWindow } from './ship-window.ts';
import { AppliedWatermark } from './watermark.ts';

test('confirms up to the oldest unanswered append, in whatever order answers come', () => {
  const confirmed: number[] = [];
  const window = new ShipWindow(lsn(100), (upTo) => confirmed.push(upTo));
  const [a, b, c] = [200, 300, 400].map((upTo) => window.add(lsn(upTo), 10));
  if (a === undefined || b === undefined || c === undefined) throw new Error('three appends');
  window.acknowledge(c);
  window.acknowledge(b);
  expect(confirmed).toEqual([]);
  expect(window.confirmed).toBe(100);
  window.acknowledge(a);
  expect(confirmed).toEqual([400]);
  expect(window.bytes).toBe(0);
  expect(() => window.add(lsn(400), 1)).toThrow(/forward/);
});

test('wakes exactly those whose point is reached, and gives up with the caller', async () => {
  const watermark = new AppliedWatermark();
  const patience = new AbortController();
  const reached: number[] = [];
  const waits = [10, 20, 30].map((point) =>
    watermark.reach(point, patience.signal).then(() => reached.push(point)),
  );
  watermark.advance(20);
  await Promise.all(waits.slice(0, 2));
  expect(reached).toEqual([10, 20]);
  watermark.advance(5); // never back
  expect(watermark.value).toBe(20);
  patience.abort();
  await expect(waits[2]).rejects.toMatchObject({ reason: 'DEADLINE' });
  await watermark.reach(20, patience.signal);
});

test('shares a read point among reads that came before it was asked for, and no others', async () => {
  const answers: ((point: number) => void)[] = [];
  const journal = {
    heartbeat: () =>
      new Promise<number>((resolve) => {
        answers.push(resolve);
      }),
  };
  const watermark = new AppliedWatermark();
  watermark.advance(100);
  const reads = new LinearizableReads(journal, watermark);
  const { signal } = new AbortController();
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const first = reads.wait(signal);
  await settled();
  expect(answers).toHaveLength(1);
  const late = [reads.wait(signal), reads.wait(signal)];
  await settled();
  expect(answers).toHaveLength(1); // the running one began before them
  answers[0]?.(10);
  expect((await first).readPoint).toBe(10);
  await settled();
  expect(answers).toHaveLength(2);
  answers[1]?.(20);
  expect((await Promise.all(late)).map(({ readPoint }) => readPoint)).toEqual([20, 20]);
});

test('goes on with the next round when a read point could not be had', async () => {
  let calls = 0;
  const journal = {
    heartbeat: () => (calls++ === 0 ? Promise.reject(new Error('no quorum')) : Promise.resolve(1)),
  };
  const watermark = new AppliedWatermark();
  watermark.advance(1);
  const reads = new LinearizableReads(journal, watermark);
  const { signal } = new AbortController();
  await expect(reads.wait(signal)).rejects.toThrow('no quorum');
  expect((await reads.wait(signal)).readPoint).toBe(1);
});

test('orders positions by timestamp, instance, record', () => {
  const place = (timestamp: number, instance: number, recordOffset: number) => ({
    ...{ timestamp, instance, recordOffset },
    cursor: null,
  });
  const sorted = [place(1, 2, 9), place(2, 1, 5), place(2, 2, 0), place(2, 2, 3)];
  expect([...sorted].reverse().sort(comparePositions)).toEqual(sorted);
});

test('names every mistake in the configuration, and keeps the password to itself', () => {
  const loaded = loadConfig({
    schema: sidecarSchema,
    name: 'meridian sidecar',
    argv: [
      '--cluster=c',
      '--region=a',
      '--listen=nowhere',
      '--roles=ship',
      '--stream=s',
      '--postgres=mysql://u:hunter2@h/d',
      '--ship-slot=Bad-Name',
      '--ship-tables=t',
      '--instance-name=one',
      '--instance-replicas=[{region: a, address: "x:1"}]',
    ],
    env: {},
  });
  if (loaded.kind !== 'mistakes') throw new Error('mistakes expected');
  const text = loaded.mistakes.join('\n');
  expect(text).not.toContain('hunter2');
  for (const expected of ['host:port', 'postgres://', '1 to 28', 'schema.table']) {
    expect(text).toContain(expected);
  }
});

test('finds among the shipped transactions those that Postgres has in progress, listed or beyond the list', () => {
  const recent = new RecentTransactions();
  expect([...recent.inProgress('10:12:10')]).toEqual([]);
  for (const xid of [10, 11, 12, 2 ** 32 - 1]) recent.add(xid);
  expect([...recent.inProgress('13:13:')]).toEqual([]);
  expect([...recent.inProgress('10:12:10')]).toEqual([10, 12]);
  // The numbers of the log begin anew after 2^32, those of a snapshot do not.
  const beyond = 2 ** 32 + 11;
  expect([...recent.inProgress(`${beyond - 12}:${beyond}:${beyond - 12}`)]).toEqual([
    ...[11, 12, 2 ** 32 - 1],
  ]);
  for (let xid = 100; xid < 100 + 20_000; xid++) recent.add(xid);
  expect([...recent.inProgress('10:20099:11,20098')]).toEqual([20_098, 20_099]);
});
