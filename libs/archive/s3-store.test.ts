import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createChecked } from './catalog.ts';
import { FaultyS3 } from './faulty-s3.ts';
import type { S3Fault } from './faulty-s3.ts';
import { sha256Of } from './manifest.ts';
import { openStore, urlProblem } from './open-store.ts';
import type { ListingStore, StoredObject } from './object-store.ts';

const KEY = 'segments/1.seg';
const bytes = Buffer.alloc(300_000, 'segment ');

let s3: FaultyS3;
let store: ListingStore;

beforeEach(async () => {
  process.env['AWS_ACCESS_KEY_ID'] = 'test';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'test';
  s3 = await FaultyS3.start();
  const url = 's3://bucket/some/where';
  store = await openStore({ url, endpoint: s3.endpoint, pathStyle: true, timeoutMs: 2000 });
});

afterEach(async () => {
  store.close();
  await s3.stop();
});

/** The first so many calls of the method go wrong. */
function failing(method: string, fault: S3Fault, times = Infinity): void {
  let left = times;
  s3.fault = (call) => (call.method === method && left-- > 0 ? fault : null);
}

async function listed(folder: string): Promise<StoredObject[]> {
  const objects: StoredObject[] = [];
  for await (const object of store.list(folder)) objects.push(object);
  return objects;
}

describe('a bucket as a store', () => {
  it('creates an object once, reads it, replaces a hint, removes', async () => {
    expect(await store.create(KEY, bytes)).toBe('created');
    expect(await store.create(KEY, Buffer.from('other'))).toBe('exists');
    expect([...s3.objects.keys()]).toEqual([`some/where/${KEY}`]);
    expect(Buffer.from((await store.read(KEY, 1e6)) ?? []).equals(bytes)).toBe(true);
    await store.replace('latest.json', Buffer.from('1'));
    await store.replace('latest.json', Buffer.from('2'));
    expect(Buffer.from((await store.read('latest.json', 10)) ?? []).toString()).toBe('2');
    await store.remove(KEY);
    expect(await store.read(KEY, 1e6)).toBeNull();
  });

  it('lists a folder in as many pages as it takes, and nothing that is no key', async () => {
    const keys = [1, 2, 3, 4, 5].map((number) => `segments/${number}.seg`);
    for (const key of [...keys, 'states/1.state']) await store.create(key, bytes);
    s3.objects.set('some/where/segments/by hand', bytes);
    const found = await listed('segments');
    expect(found.map(({ key }) => key)).toEqual(keys);
    expect(found[0]?.modifiedAt).toBe(Date.parse('2026-01-02T03:04:05Z'));
    expect(await listed('pages')).toEqual([]);
    failing('GET', 'expired');
    await expect(listed('segments')).rejects.toMatchObject({
      reason: 'PERMISSION_DENIED',
    });
  });

  it.each<S3Fault>(['slow-down', 'reset', 'cut-body', 'conflict'])(
    'creates in spite of one %s',
    async (fault) => {
      failing('PUT', fault, 1);
      expect(await store.create(KEY, bytes)).toBe('created');
    },
  );

  it.each<S3Fault>(['error-after', 'lost-answer'])(
    'finds its own bytes after %s, which is success once they are compared',
    async (fault) => {
      failing('PUT', fault, 1);
      const ref = { key: KEY, bytes: bytes.length, sha256: sha256Of(bytes) };
      expect(await createChecked(store, ref, bytes)).toBe('exists');
    },
  );

  it.each<S3Fault>(['cut-body', 'empty'])('does not take %s for an object', async (fault) => {
    await store.create(KEY, bytes);
    failing('GET', fault);
    await expect(store.read(KEY, 1e6)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  });

  it('does not take an empty answer for an object that is not there', async () => {
    failing('GET', 'empty', 1);
    await expect(store.read(KEY, 1e6)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
    expect(await store.read(KEY, 1e6)).toBeNull();
  });

  it.each<[S3Fault, string]>([
    ['slow-down', 'UNAVAILABLE'],
    ['expired', 'PERMISSION_DENIED'],
    ['hang', 'UNAVAILABLE'],
  ])('gives up in time when there is nothing but %s, and heals', async (fault, reason) => {
    failing('PUT', fault);
    await expect(store.create(KEY, bytes)).rejects.toMatchObject({ reason, details: { key: KEY } });
    s3.fault = () => null;
    expect(await store.create(KEY, bytes)).toBe('created');
  });

  it('refuses an object that is larger than expected without taking it', async () => {
    await store.create(KEY, bytes);
    await expect(store.read(KEY, 1000)).rejects.toMatchObject({ reason: 'TOO_LARGE' });
  });
});

it.each([
  ['s3://bucket/prefix', null],
  ['file:///var/lib/archive', null],
  ['http://example.com', /expected file/],
  ['s3:///prefix', /bucket/],
  ['/var/lib', /expected file/],
  ['s3://key@bucket/', /nothing else/],
])('the URL %s: %s', (url, problem) => {
  if (problem === null) expect(urlProblem(url)).toBeNull();
  else expect(urlProblem(url)).toMatch(problem);
});
