import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MemoryStore } from './memory-store.ts';
import { SealedStore } from './sealed-store.ts';
import { chunkRange, isSealed, open, openerOf, parseSealingKeys, seal } from './sealing.ts';
import { SEAL_HEADER_BYTES, sealedBytes } from './sealing.ts';

const KEY = { id: '2026-01', secret: randomBytes(32) };
const NEXT = { id: '2026-07', secret: randomBytes(32) };
const NAME = 'segments/0000000000000000xabcdefabcdefabcd.seg';
const CHUNK = 64 * 1024;
const MAX = 10_000_000;

describe('a sealed object', () => {
  it.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7])(
    'opens to the %i bytes it was made of, and shows none of them',
    async (length) => {
      const content = Buffer.alloc(length, 'secret of the journal ');
      const sealed = await seal(content, NAME, KEY);
      expect(sealed).toHaveLength(sealedBytes(length));
      expect(isSealed(sealed)).toBe(true);
      expect(sealed.includes('secret')).toBe(false);
      expect((await open(sealed, NAME, [NEXT, KEY], MAX)).equals(content)).toBe(true);
    },
  );

  it('is the same bytes whoever seals it, and others for other content, name or key', async () => {
    const content = randomBytes(3 * CHUNK);
    const one = await seal(content, NAME, KEY);
    expect((await seal(Buffer.from(content), NAME, { ...KEY })).equals(one)).toBe(true);
    const other = Buffer.from(content);
    other[3 * CHUNK - 1] = (other[3 * CHUNK - 1] ?? 0) ^ 1;
    const others = [
      await seal(other, NAME, KEY),
      await seal(content, `${NAME}x`, KEY),
      await seal(content, NAME, NEXT),
    ];
    const chunk = (sealed: Buffer): string => {
      const { from, to } = chunkRange(content.length, 0);
      // Without its tag, which differs in any case.
      return sealed.subarray(from, to - 16).toString('hex');
    };
    // A change in the last byte alone already gives every chunk another key: no nonce meets a key twice.
    expect(new Set([one, ...others].map(chunk)).size).toBe(4);
  });

  it('opens chunk by chunk, of the bytes at its range alone', async () => {
    const content = randomBytes(2 * CHUNK + 100);
    const sealed = await seal(content, NAME, KEY);
    const opener = openerOf(sealed.subarray(0, SEAL_HEADER_BYTES), NAME, [KEY]);
    expect(opener.contentBytes).toBe(content.length);
    for (const index of [2, 0, 1]) {
      const { from, to } = chunkRange(content.length, index);
      const chunk = opener.chunk(index, sealed.subarray(from, to));
      expect(chunk.equals(content.subarray(index * CHUNK, (index + 1) * CHUNK))).toBe(true);
    }
    const { from, to } = chunkRange(content.length, 1);
    expect(() => opener.chunk(0, sealed.subarray(from, to))).toThrow('chunk 0');
  });

  it('with any bit turned, cut, extended, or under another name is CORRUPT or REFUSED, never other content', async () => {
    const sealed = await seal(Buffer.alloc(300, 'x'), NAME, KEY);
    const attempt = (bytes: Uint8Array, name = NAME): Promise<unknown> =>
      open(bytes, name, [KEY], MAX).catch((error: unknown) => (error as { reason: string }).reason);
    for (let at = 0; at < sealed.length; at += 1) {
      const turned = Buffer.from(sealed);
      turned[at] = (turned[at] ?? 0) ^ (1 << (at % 8));
      expect(['CORRUPT', 'REFUSED', 'TOO_LARGE'], `byte ${at}`).toContain(await attempt(turned));
      expect(await attempt(sealed.subarray(0, at))).toBe('CORRUPT');
    }
    expect(await attempt(Buffer.concat([sealed, Buffer.from([0])]))).toBe('CORRUPT');
    expect(await attempt(sealed, 'segments/1.seg')).toBe('CORRUPT');
  });

  it('says which key it needs, and tells a wrong one from damage', async () => {
    const sealed = await seal(Buffer.from('x'), NAME, KEY);
    const missing = open(sealed, NAME, [NEXT], MAX);
    await expect(missing).rejects.toMatchObject({
      reason: 'REFUSED',
      message: `${NAME} is sealed with the key 2026-01; given: 2026-07`,
    });
    const wrong = open(sealed, NAME, [{ ...KEY, secret: randomBytes(32) }], MAX);
    await expect(wrong).rejects.toMatchObject({
      reason: 'REFUSED',
      message: expect.stringContaining('another key 2026-01') as string,
    });
    await expect(open(sealed, NAME, [KEY], 0)).rejects.toMatchObject({ reason: 'TOO_LARGE' });
  });
});

describe('a file of keys', () => {
  const line = ({ id, secret }: typeof KEY): string => `${id} ${secret.toString('base64url')}`;

  it('has one a line, the one that seals first', () => {
    const text = `# of the archive\n${line(NEXT)}\n\n${line(KEY)}\n`;
    expect(parseSealingKeys(text, 'keys')).toEqual([NEXT, KEY]);
  });

  it.each([
    ['nothing', ''],
    ['a short secret', 'a c2hvcnQ'],
    ['an id twice', `${line(KEY)}\n${line(KEY)}`],
    ['a word too many', `${line(KEY)} more`],
    ['an id with a space', `a b${line(KEY)}`],
  ])('with %s is refused, without telling a secret', (_, text) => {
    expect(() => parseSealingKeys(text, 'keys')).toThrow(/^keys: expected on each line/);
  });
});

describe('a sealed store', () => {
  it('gives back what was put in, and keeps only what must be in the clear so', async () => {
    const inner = new MemoryStore();
    const store = new SealedStore(inner, [KEY]);
    await store.create('journal.json', Buffer.from('root'));
    await store.replace('latest.json', Buffer.from('hint'));
    await store.create(NAME, Buffer.from('content'));
    expect(await store.create(NAME, Buffer.from('content'))).toBe('exists');
    expect(Buffer.from((await store.read(NAME, 100)) ?? []).toString()).toBe('content');
    const clear = [...inner.objects].filter(([, bytes]) => !isSealed(bytes));
    expect(clear.map(([key]) => key)).toEqual(['journal.json', 'latest.json']);
    expect(await store.read('segments/2.seg', 100)).toBeNull();
  });

  it('reads what was written before there was a key, and with the keys of all times', async () => {
    const inner = new MemoryStore();
    const names = ['segments/1.seg', 'segments/2.seg', 'segments/3.seg'];
    for (const [at, keys] of [[], [KEY], [NEXT, KEY]].entries()) {
      await new SealedStore(inner, keys).create(names[at] ?? '', Buffer.from(`content ${at}`));
    }
    const store = new SealedStore(inner, [NEXT, KEY]);
    for (const [at, name] of names.entries()) {
      expect(Buffer.from((await store.read(name, 100)) ?? []).toString()).toBe(`content ${at}`);
    }
    const without = new SealedStore(inner, []).read('segments/3.seg', 100);
    await expect(without).rejects.toMatchObject({ reason: 'REFUSED' });
  });
});
