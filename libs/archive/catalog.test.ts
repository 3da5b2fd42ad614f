import { beforeEach, describe, expect, it } from 'vitest';
import { Catalog, createChecked, readChecked } from './catalog.ts';
import { CUT_DEFAULTS } from './cut.ts';
import { HINT_KEY, manifestKey, segmentKey } from './keys.ts';
import { PAGE_SEGMENTS, encodeJson, sha256Of, withSegments } from './manifest.ts';
import type { Manifest, SegmentRef } from './manifest.ts';
import { MemoryStore } from './memory-store.ts';

const WHO = { cluster: 'c', instance: 'i' };
const ROOT = { ...WHO, ...CUT_DEFAULTS, first: 0, goneTo: 0, state: null };

let store: MemoryStore;

function open(by: string): Promise<Catalog> {
  const options = { store, ...WHO, by, now: () => 1 };
  return Catalog.create(options, ROOT);
}

/** A segment of one entry, with the ordinal in its timestamp. */
function segment(first: number): SegmentRef {
  const times = { firstTimestamp: first * 10, lastTimestamp: first * 10 };
  const sha256 = sha256Of(encodeJson({ first }));
  return {
    key: segmentKey(first, sha256),
    bytes: 1,
    sha256,
    first,
    end: first + 1,
    ...times,
    streams: null,
  };
}

const next = (manifest: Manifest): Manifest => withSegments(manifest, [segment(manifest.end)]);

beforeEach(() => {
  store = new MemoryStore();
});

describe('the catalog', () => {
  it('makes numbered manifests that follow on, and finds the newest again', async () => {
    const catalog = await open('a');
    for (let i = 0; i < 5; i += 1) await catalog.commit(next);
    expect(catalog.manifest).toMatchObject({ number: 5, end: 5, by: 'a' });
    expect((await open('b')).manifest).toEqual(catalog.manifest);
  });

  it.each([
    ['lags behind', () => store.objects.set(HINT_KEY, encodeJson({ number: 2 }))],
    ['is lost', () => store.objects.delete(HINT_KEY)],
    ['is damaged', () => store.objects.set(HINT_KEY, Buffer.from('{'))],
  ])('finds the newest when the hint %s', async (_, spoil) => {
    const catalog = await open('a');
    for (let i = 0; i < 23; i += 1) await catalog.commit(next);
    spoil();
    expect((await open('b')).manifest.number).toBe(23);
  });

  it('lets one of two writers win, and the other goes on from there', async () => {
    const [a, b] = [await open('a'), await open('b')];
    await Promise.all([a.commit(next), b.commit(next)]);
    await a.refresh();
    expect(a.manifest).toMatchObject({ number: 2, end: 2 });
    expect([...store.objects.keys()].filter((key) => key.startsWith('manifests/'))).toHaveLength(2);
  });

  it('counts a manifest as its own whose answer was lost', async () => {
    const catalog = await open('a');
    let left = 1;
    store.fault = (call, key) =>
      call === 'create' && key === manifestKey(1) && left-- > 0 ? 'after' : null;
    await expect(catalog.commit(next)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
    const again = await catalog.commit((manifest) => (manifest.end === 0 ? next(manifest) : null));
    expect(again).toMatchObject({ number: 1, end: 1 });
  });

  it('moves full pages out of the manifest and finds every segment', async () => {
    const catalog = await open('a');
    const many = Array.from({ length: PAGE_SEGMENTS * 2 + 3 }, (_, i) => segment(i));
    await catalog.commit((manifest) => withSegments(manifest, many));
    expect(catalog.manifest.pages).toHaveLength(2);
    expect(catalog.manifest.segments).toHaveLength(3);
    const fresh = await open('b');
    for (const at of [0, PAGE_SEGMENTS - 1, PAGE_SEGMENTS, 2 * PAGE_SEGMENTS + 2]) {
      expect((await fresh.segmentAt(at))?.first).toBe(at);
      expect((await fresh.segmentFrom(at * 10 - 5))?.first).toBe(at);
    }
    expect(await fresh.segmentAt(many.length)).toBeNull();
    const all: number[] = [];
    for await (const each of fresh.allSegments()) all.push(each.first);
    expect(all).toEqual(many.map(({ first }) => first));
  });

  it('follows the others once, however many of its users look at the same time', async () => {
    const [a, b] = [await open('a'), await open('b')];
    for (let i = 0; i < 3; i += 1) await b.commit(next);
    await Promise.all([a.refresh(), a.refresh(), a.commit(next), a.refresh()]);
    expect(a.manifest).toMatchObject({ number: 4, end: 4 });
  });

  /*
   * An answer of the store with one digit changed was a manifest like any other: the archiver that had read it wrote
   * the next one on top, with the hash of what nobody else has ever seen, and from then on all of them found a fork and
   * stopped for good. Found by the simulation of the whole system, seeds 1027 and 1037.
   */
  it('takes nothing from a manifest that was damaged on its way, wherever, and goes on', async () => {
    const [a, b] = [await open('a'), await open('b')];
    await b.commit(next);
    const { length } = store.objects.get(manifestKey(1)) ?? [];
    for (let at = 0; at < length; at += 1) {
      store.corrupt = (key, bytes) => (key === manifestKey(1) ? flipped(bytes, at) : bytes);
      await expect(a.refresh(), `byte ${at}`).rejects.toMatchObject({ reason: 'CORRUPT' });
    }
    store.corrupt = (_, bytes) => bytes;
    await a.commit(next);
    expect(await b.refresh()).toMatchObject({ number: 2, end: 2 });
  });

  it('is not opened by a root that was damaged on its way, wherever', async () => {
    await open('a');
    const { length } = store.objects.get('journal.json') ?? [];
    for (let at = 0; at < length; at += 1) {
      store.corrupt = (key, bytes) => (key === 'journal.json' ? flipped(bytes, at) : bytes);
      await expect(open('b'), `byte ${at}`).rejects.toMatchObject({ reason: 'CORRUPT' });
    }
  });

  it('refuses a manifest that would delete what is never deleted', async () => {
    const catalog = await open('a');
    await catalog.commit(next);
    for (const key of ['journal.json', 'latest.json', manifestKey(1), '../x.seg']) {
      const garbage = [{ key, since: 1 }];
      const forged = { ...next(catalog.manifest), number: 2, garbage };
      store.objects.set(manifestKey(2), encodeJson(forged));
      await expect(catalog.refresh()).rejects.toThrow(/never deleted/);
    }
  });

  it('refuses the archive of another journal', async () => {
    await open('a');
    await expect(
      Catalog.open({ store, ...WHO, instance: 'other', by: 'b', now: () => 1 }),
    ).rejects.toMatchObject({
      reason: 'WRONG_TARGET',
    });
  });

  it('refuses a manifest that follows on another one, or has a hole', async () => {
    const catalog = await open('a');
    await catalog.commit(next);
    const forged = { ...next(catalog.manifest), number: 2, previous: 'f'.repeat(64) };
    store.objects.set(manifestKey(2), encodeJson(forged));
    await expect(catalog.refresh()).rejects.toThrow(/follows on another manifest/);
    const holed = { ...forged, segments: [segment(0), segment(2)], end: 3 };
    store.objects.set(manifestKey(2), encodeJson(holed));
    await expect(catalog.refresh()).rejects.toThrow(/goes on at 2/);
  });
});

function flipped(bytes: Uint8Array | null, at: number): Uint8Array {
  const other = Uint8Array.from(bytes ?? []);
  other[at] = (other[at] ?? 0) ^ 1;
  return other;
}

describe('an object', () => {
  const bytes = Buffer.from('content');
  const sha256 = sha256Of(bytes);
  const ref = { key: segmentKey(0, sha256), bytes: bytes.length, sha256 };

  it('that is there already with the same bytes is success, with others a loud end', async () => {
    expect(await createChecked(store, ref, bytes)).toBe('created');
    expect(await createChecked(store, ref, bytes)).toBe('exists');
    await expect(createChecked(store, ref, Buffer.from('Content'))).rejects.toMatchObject({
      reason: 'CORRUPT',
      details: { key: ref.key },
    });
  });

  it('that is gone, rotten or cut is reported with its key', async () => {
    await expect(readChecked(store, ref)).rejects.toThrow(new RegExp(`${ref.key} is not there`));
    await createChecked(store, ref, bytes);
    expect(Buffer.from(await readChecked(store, ref)).equals(bytes)).toBe(true);
    for (const spoilt of [bytes.subarray(1), Buffer.from('c0ntent')]) {
      store.corrupt = () => spoilt;
      await expect(readChecked(store, ref)).rejects.toMatchObject({ reason: 'CORRUPT' });
    }
  });
});
