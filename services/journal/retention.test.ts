/** What a witness lets go of: what both others have let go of, and nothing that one of them still keeps. */
import { expect, it } from 'vitest';
import type { Index } from '../../libs/values/numbers.ts';
import { epoch, index, laneOf, timestamp } from '../../libs/values/numbers.ts';
import { ReleaseIndex } from './release-index.ts';
import { Retention } from './retention.ts';

type Bases = readonly Index[] | null;

/** Forty entries, of lanes 0, 1, 2 in turn, nothing of them trimmed. */
function released(): ReleaseIndex {
  const all = new ReleaseIndex();
  for (let i = 0; i < 40; i += 1) {
    const lane = laneOf(timestamp(8 * (i + 1) + (i % 3)));
    const position = index(Math.floor(i / 3) + 1);
    const stamp = timestamp(8 * (i + 1) + (i % 3));
    all.addEntry({ lane, epoch: epoch(8), index: position, timestamp: stamp, kind: 'batches' });
  }
  all.addBatch('s', 0, 0 as never);
  return all;
}

function frontierOf(followed: (() => readonly Bases[]) | null): number {
  const stream = { name: 's', firstSeqNum: 0, nextSeqNum: 40 };
  const retention = new Retention({
    order: { streams: () => ({ streams: [stream], more: false }) } as never,
    index: released(),
    store: { segmentOf: () => 1 },
    log: { position: { segment: 1 } } as never,
    segmentBytes: 4096,
    retentionBytes: 0,
    retentionMicros: 0,
    followed,
    now: () => 0,
    defer: () => undefined,
  });
  let frontier = -1;
  retention.frontier((ordinal) => {
    frontier = ordinal;
  });
  return frontier;
}

const bases = (...positions: number[]): Bases => positions.map((each) => index(each));

it('a replica that is no witness keeps what is not trimmed, whatever its peers have done', () => {
  expect(frontierOf(null)).toBe(0);
});

it('a witness lets go of what has left the logs of both others', () => {
  // Entries 0 to 11 are the first four of each lane.
  expect(frontierOf(() => [bases(4, 4, 4), bases(4, 4, 4)])).toBe(12);
  expect(frontierOf(() => [bases(10, 10, 10), bases(4, 3, 3)])).toBe(10);
});

it('a witness keeps all of it while one of the others keeps all, or has not been heard', () => {
  expect(frontierOf(() => [bases(4, 4, 4), bases(0, 0, 0)])).toBe(0);
  expect(frontierOf(() => [bases(4, 4, 4), null])).toBe(0);
});
