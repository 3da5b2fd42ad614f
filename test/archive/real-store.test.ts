/**
 * The archive against a server of S3 that somebody else has written: what our own small one promises of conditional
 * writes holds there too, three replicas make one archive in it, and rights are enough for each and no more.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { segmentKey } from '../../libs/archive/keys.ts';
import { openStore } from '../../libs/archive/open-store.ts';
import { expectWhole } from '../../services/journal/archive.test-kit.ts';
import type { Archiver } from '../../services/journal/archiver.ts';
import { cleanArchive } from '../../services/journal/janitor.ts';
import { MemoryJournal } from '../../services/journal/memory-journal.ts';
import { archiverOf } from '../../services/journal/testing-archiver.ts';
import { records } from '../../services/journal/testing-reads.ts';
import { Moto } from './moto.ts';
import type { Credentials } from './moto.ts';

const ENTRIES = 60;
const RACERS = 32;
const BUCKET = 'archive';

let moto: Moto;
let owner: Credentials;
let replica: Credentials;
let janitor: Credentials;

const allow = (actions: readonly string[], ...keys: readonly string[]): object => ({
  Effect: 'Allow',
  Action: actions,
  Resource: keys.map((key) => `arn:aws:s3:::${BUCKET}${key}`),
});

beforeAll(async () => {
  moto = await Moto.start();
  await moto.makeBucket(BUCKET);
  // As terraform/modules/archive grants them.
  const create = allow(['s3:GetObject', 's3:PutObject'], '/*');
  const list = allow(['s3:ListBucket'], '');
  const remove = allow(['s3:DeleteObject'], '/*/segments/*', '/*/pages/*', '/*/states/*');
  owner = await moto.makeUser('owner', [allow(['s3:*'], '', '/*')]);
  replica = await moto.makeUser('replica', [create, list]);
  janitor = await moto.makeUser('janitor', [create, list, remove]);
  await moto.enforceRights();
}, 900_000);

afterAll(async () => {
  await moto.stop();
});

/** The SDK takes credentials from the environment when it first needs them. */
async function storeOf(prefix: string, { accessKeyId, secretAccessKey }: Credentials) {
  process.env['AWS_ACCESS_KEY_ID'] = accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = secretAccessKey;
  const url = `s3://${BUCKET}/${prefix}`;
  const place = { url, endpoint: moto.endpoint, pathStyle: true, region: 'us-east-1' };
  const store = await openStore({ ...place, timeoutMs: 60_000 });
  await store.read('journal.json', 1_000_000);
  return store;
}

function journal(): MemoryJournal {
  const made = new MemoryJournal();
  for (let i = 0; i < ENTRIES; i += 1) {
    made.add(80 + i * 96, [{ stream: i % 3 === 0 ? 'b' : 'a', records: records(2) }]);
  }
  made.release([], made.watermark.value + 10_000);
  return made;
}

async function drain(one: Archiver): Promise<void> {
  for (let rounds = 0; one.archivedTo < ENTRIES && rounds < 200; rounds += 1) await one.attempt();
}

const KEY = 'segments/1.seg';

describe('a server of S3', () => {
  it('lets one of many racing creations win, and overwrites nothing', async () => {
    const store = await storeOf('race', owner);
    const bodies = Array.from({ length: RACERS }, (_, i) => Buffer.from(`body ${i}`));
    const outcomes = await Promise.all(bodies.map((body) => store.create(KEY, body)));
    const winner = outcomes.indexOf('created');
    expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1);
    const standing = Buffer.from((await store.read(KEY, 100)) ?? []).toString();
    expect(standing).toBe(`body ${winner}`);
    expect(await store.create(KEY, Buffer.from('later'))).toBe('exists');
    store.close();
  });

  it('reads, replaces, removes, and says that nothing is there', async () => {
    const store = await storeOf('all', owner);
    const bytes = Buffer.alloc(3_000_000, 'segment ');
    await store.create(KEY, bytes);
    expect(Buffer.from((await store.read(KEY, 4e6)) ?? []).equals(bytes)).toBe(true);
    await expect(store.read(KEY, 1000)).rejects.toMatchObject({ reason: 'TOO_LARGE' });
    for (const text of ['1', '22']) await store.replace('latest.json', Buffer.from(text));
    expect(Buffer.from((await store.read('latest.json', 10)) ?? []).toString()).toBe('22');
    await store.remove(KEY);
    await store.remove(KEY);
    expect(await store.read(KEY, 4e6)).toBeNull();
    store.close();
  });

  it('refuses a wrong secret, which is told as such', async () => {
    const wrong = { ...owner, secretAccessKey: 'wrong' };
    await expect(storeOf('all', wrong)).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' });
  });
});

describe('an archive on a server of S3', () => {
  it('is one that three replicas make, and a janitor deletes in', async () => {
    const stores = await Promise.all(['0', '1', '2'].map(() => storeOf('orders', replica)));
    const archivers = stores.map((store, i) => archiverOf(journal(), store, { by: `${i} r` }));
    await Promise.all(archivers.map(drain));
    for (const one of archivers) {
      expect(one.archivedTo).toBe(ENTRIES);
      expect(one.halted).toBe(false);
    }
    const cleaner = await storeOf('orders', janitor);
    const unnamed = segmentKey(0, 'ab'.repeat(32));
    await cleaner.create(unnamed, Buffer.from('uploaded and never named'));
    const rules = { retentionMicros: 0, retentionBytes: 3000, trims: true, graceMs: 0 };
    const later = Date.now() + 60_000;
    const clean = { store: cleaner, ...rules, unnamedMs: 0, dryRun: false, now: () => later };
    const { removedSegments, unnamedObjects } = await cleanArchive(clean);
    expect(removedSegments).toBeGreaterThan(0);
    expect(unnamedObjects).toBe(1);
    // The janitor's first state is gone with them, named and called garbage since.
    expect((await cleanArchive(clean)).deletedObjects).toBeGreaterThan(removedSegments);
    expect(await cleaner.read(unnamed, 1000)).toBeNull();
    await expectWhole(cleaner, journal());
    for (const store of [...stores, cleaner]) store.close();
  });

  it('rights of a replica delete nothing, and those of the janitor nothing but what may go', async () => {
    const denied = { reason: 'PERMISSION_DENIED' };
    const asReplica = await storeOf('orders', replica);
    const root = await asReplica.read('journal.json', 10_000);
    expect(root).not.toBeNull();
    await asReplica.create(KEY, Buffer.from('x'));
    await expect(asReplica.remove(KEY)).rejects.toMatchObject(denied);
    const asJanitor = await storeOf('orders', janitor);
    await asJanitor.remove(KEY);
    for (const key of ['journal.json', 'latest.json', 'manifests/0000000000000001.json']) {
      await expect(asJanitor.remove(key)).rejects.toMatchObject(denied);
      expect(await asJanitor.read(key, 1_000_000)).not.toBeNull();
    }
    for (const store of [asReplica, asJanitor]) store.close();
  });
});
