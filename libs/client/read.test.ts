/** A record at a time: what is missing is an error, never a pair of records that only look like neighbours. */
import { expect, test } from 'vitest';
import { recordsOf } from './read.ts';
import type { ReadItem } from './types.ts';

type Gap = Extract<ReadItem, { type: 'gap' }>;

function batch(firstSeqNum: number): ReadItem {
  const [timestamp, recordOffset] = [8 * (firstSeqNum + 1), 0];
  const records = [{ headers: [], key: null, body: Buffer.from('x') }];
  const one = { stream: 's', timestamp, recordOffset, firstSeqNum, records, indexes: null };
  return { type: 'batches', batches: [one], position: { timestamp, recordOffset } };
}

function gap(kind: Gap['kind'], from: number, to: number): Gap {
  const place = (seq: number): Gap['from'] => ({ timestamp: 8 * (seq + 1), recordOffset: 0 });
  return { type: 'gap', kind, from: place(from), to: place(to), seqNums: { from, to } };
}

async function numbers(...items: readonly ReadItem[]): Promise<number[]> {
  const read: number[] = [];
  const iterate = async function* (): AsyncGenerator<ReadItem> {
    for (const item of items) yield await Promise.resolve(item);
  };
  for await (const { seqNum } of recordsOf(iterate(), { stream: 's', from: 'start' })) {
    read.push(seqNum);
  }
  return read;
}

test('begins behind what was trimmed before it began, and passes over what was filtered out', async () => {
  expect(await numbers(gap('trimmed', 0, 2), batch(2), gap('filtered', 3, 5), batch(5))).toEqual([
    2, 5,
  ]);
});

test('ends where records are lost, and where they were trimmed between two that it gives', async () => {
  await expect(numbers(gap('lost', 0, 2), batch(2))).rejects.toMatchObject({
    reason: 'OUT_OF_RANGE',
    details: { kind: 'lost', from: '8', to: '24' },
  });
  await expect(numbers(batch(0), gap('trimmed', 1, 3), batch(3))).rejects.toMatchObject({
    reason: 'OUT_OF_RANGE',
    details: { kind: 'trimmed' },
  });
});
