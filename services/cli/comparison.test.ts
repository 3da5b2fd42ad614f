import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { StatusResponseSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { compareReleases } from './comparison.ts';
import type { Side } from './comparison.ts';

/** `points`: entries → hash; the last one is where the replica stands. */
function side(region: string, points: Readonly<Record<number, string>>): Side {
  const list = Object.entries(points).map(([entries, hash]) => ({
    entries: BigInt(entries),
    timestamp: BigInt(entries) * 8n,
    hash,
  }));
  const last = list.pop();
  const status = create(StatusResponseSchema, {
    releasedEntries: last?.entries ?? 0n,
    releaseHash: last?.hash ?? '',
    lastTimestamp: last?.timestamp ?? 0n,
    releasePoints: list,
  });
  return { region, status };
}

describe('the comparison of releases', () => {
  it('takes the highest number of entries that all remember', () => {
    const comparison = compareReleases([
      side('eu', { 16: 'a', 32: 'b', 48: 'c', 50: 'x' }),
      side('us', { 16: 'a', 32: 'b', 47: 'y' }),
      side('ap', { 16: 'a', 32: 'b', 48: 'c' }),
    ]);
    expect(comparison).toMatchObject({
      equal: true,
      entries: 32,
      timestamp: 256,
      agreedEntries: 32,
    });
  });

  it('compares where replicas stand when they stand at the same', () => {
    expect(compareReleases([side('eu', { 3: 'a' }), side('us', { 3: 'a' })])).toMatchObject({
      equal: true,
      entries: 3,
    });
  });

  it('finds a difference, and how far they agreed', () => {
    const comparison = compareReleases([
      side('eu', { 16: 'a', 32: 'b', 48: 'c' }),
      side('us', { 16: 'a', 32: 'z', 48: 'y' }),
    ]);
    expect(comparison).toMatchObject({ equal: false, entries: 48, agreedEntries: 16 });
    expect(comparison.hashes).toEqual([
      { region: 'eu', hash: 'c' },
      { region: 'us', hash: 'y' },
    ]);
  });

  it('says when there is nothing to compare', () => {
    expect(compareReleases([side('eu', { 3: 'a' }), side('us', { 4: 'b' })]).equal).toBeNull();
    expect(compareReleases([]).equal).toBeNull();
  });
});
