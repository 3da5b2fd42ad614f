import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DirectoryStore } from './directory-store.ts';
import type { StoredObject } from './object-store.ts';

let directory: string;
let store: DirectoryStore;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-archive-'));
  store = new DirectoryStore(join(directory, 'store'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('a directory as a store', () => {
  it('creates an object once, whoever comes second', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 16 }, (_, i) => store.create('segments/1.seg', bytes(`writer ${i}`))),
    );
    expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1);
    const winner = outcomes.indexOf('created');
    expect(Buffer.from((await store.read('segments/1.seg', 100)) ?? []).toString()).toBe(
      `writer ${winner}`,
    );
    expect(readdirSync(join(directory, 'store', 'segments'))).toEqual(['1.seg']);
  });

  it('lists a folder, without what is being written', async () => {
    for (const key of ['segments/1.seg', 'segments/2.seg', 'states/1.state']) {
      await store.create(key, bytes(key));
    }
    writeFileSync(join(directory, 'store/segments/3.seg.0a1b2c.new'), 'half');
    const listed: StoredObject[] = [];
    for await (const object of store.list('segments')) listed.push(object);
    expect(listed.map(({ key }) => key).sort()).toEqual(['segments/1.seg', 'segments/2.seg']);
    expect(Math.abs((listed[0]?.modifiedAt ?? 0) - Date.now())).toBeLessThan(3_600_000);
    for await (const object of store.list('pages')) expect(object).toBeNull();
  });

  it('replaces, reads and removes; what is not there is null, and removed already', async () => {
    await store.replace('latest.json', bytes('1'));
    await store.replace('latest.json', bytes('2'));
    expect(Buffer.from((await store.read('latest.json', 100)) ?? []).toString()).toBe('2');
    await store.remove('latest.json');
    await store.remove('latest.json');
    expect(await store.read('latest.json', 100)).toBeNull();
  });

  it('keeps files and directories to their owner', async () => {
    await store.create('segments/1.seg', bytes('x'));
    expect(statSync(join(directory, 'store', 'segments')).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, 'store', 'segments', '1.seg')).mode & 0o777).toBe(0o600);
  });

  it('refuses an object that is too large before it reads it', async () => {
    await store.create('segments/1.seg', bytes('12345'));
    await expect(store.read('segments/1.seg', 4)).rejects.toMatchObject({ reason: 'TOO_LARGE' });
  });

  it('says what cannot be done, with the place', async () => {
    await store.create('segments/1.seg', bytes('x'));
    const below = new DirectoryStore(join(directory, 'store', 'segments', '1.seg'));
    await expect(below.create('journal.json', bytes('x'))).rejects.toMatchObject({
      reason: 'UNAVAILABLE',
    });
  });
});
