import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { RecordInput } from '../../frames/batch.ts';
import { FakeSource } from '../fake-source.ts';
import { openKv } from './kv.ts';
import type { Kv, KvOptions } from './kv.ts';
import type { KvEvent } from './store.ts';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'meridian-kv-'));
  directories.push(made);
  return made;
}

/** A journal whose appends are applied by everybody at once. */
function journalOver(...sources: FakeSource[]) {
  return {
    append: (stream: string, records: readonly RecordInput[]): Promise<void> => {
      for (const source of sources) source.append(stream, records);
      for (const source of sources) source.settle();
      return Promise.resolve();
    },
  };
}

async function opened(more: Partial<KvOptions> = {}): Promise<{ kv: Kv; source: FakeSource }> {
  const source = new FakeSource();
  const kv = await openKv({ source, journal: journalOver(source), stream: 'kv', ...more });
  return { kv, source };
}

describe('the key-value store', () => {
  it('puts, gets, deletes, and counts revisions', async () => {
    const { kv } = await opened();
    expect(await kv.get('a')).toBeNull();
    expect(await kv.put('a', '1')).toBe(1);
    expect(await kv.put('a', '2')).toBe(2);
    expect(await kv.put('b', '')).toBe(3);
    expect(await kv.get('a')).toEqual({ value: '2', created: 1, modified: 2 });
    expect(await kv.keys()).toEqual(['a', 'b']);
    expect([await kv.delete('a'), await kv.delete('a')]).toEqual([true, false]);
    expect(await kv.keys()).toEqual(['b']);
    await kv.close();
  });

  it('swaps only what is as expected', async () => {
    const { kv } = await opened();
    const made = await kv.compareAndSwap('a', 0, 'x');
    expect(made).toMatchObject({ changed: true, revision: 1 });
    expect(await kv.compareAndSwap('a', 0, 'y')).toMatchObject({
      changed: false,
      entry: { value: 'x', modified: 1 },
    });
    expect((await kv.compareAndSwap('a', 1, 'y')).entry).toMatchObject({ value: 'y', modified: 3 });
    await kv.close();
  });

  it('gives watchers every change after a revision, once, and the live ones', async () => {
    const { kv } = await opened();
    await kv.put('x/1', 'a');
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { revision, key, entry } of kv.watch('x/', 0)) {
        seen.push(`${revision} ${key}=${entry?.value ?? 'gone'}`);
      }
    })();
    await kv.put('y', 'other');
    await kv.put('x/2', 'b');
    await kv.delete('x/1');
    await kv.close();
    await watching;
    expect(seen).toEqual(['1 x/1=a', '3 x/2=b', '4 x/1=gone']);
  });

  it('tells a watcher that is too late to begin anew', async () => {
    const { kv } = await opened({ eventsMax: 5 });
    for (let i = 0; i < 20; i += 1) await kv.put('k', String(i));
    const watch: AsyncGenerator<KvEvent, void> = kv.watch('', 1);
    await expect(watch.next()).rejects.toMatchObject({ reason: 'OUT_OF_RANGE' });
    await kv.close();
  });

  it('is the same in every copy, from the beginning or from a snapshot', async () => {
    const file = join(directory(), 'kv.snapshot');
    const { kv, source } = await opened({ file, snapshotEvery: 7 });
    for (let i = 0; i < 30; i += 1) await kv.put(`k${i % 4}`, String(i));
    await kv.close();
    for (let i = 30; i < 40; i += 1) {
      source.append('kv', [
        { key: Buffer.from('k9'), headers: [['kind', Buffer.from('put')]], body: Buffer.from('z') },
        { body: Buffer.from('not a command') },
      ]);
    }
    const restored = await openKv({ source, journal: journalOver(source), stream: 'kv', file });
    const fresh = await openKv({ source, journal: journalOver(source), stream: 'kv' });
    for (const subscription of source.subscriptions.slice(-2)) subscription.give(Infinity);
    for (const key of ['k0', 'k1', 'k2', 'k3', 'k9']) {
      expect(await restored.get(key)).toEqual(await fresh.get(key));
      expect(await restored.get(key)).not.toBeNull();
    }
    expect(source.subscriptions.at(-2)?.wish.after).not.toBeNull();
    expect(source.subscriptions.at(-1)?.wish.after).toBeNull();
    await restored.close();
    await fresh.close();
  });

  it('refuses a snapshot that is not what was written', async () => {
    const file = join(directory(), 'kv.snapshot');
    const { kv } = await opened({ file });
    await kv.put('a', '1');
    await kv.close();
    writeFileSync(file, readFileSync(file, 'utf8').replace('"a"', '"b"'));
    await expect(opened({ file })).rejects.toMatchObject({ reason: 'CORRUPT' });
  });
});
