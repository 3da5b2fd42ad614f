/**
 * Drills of what an operator does to a running journal with certificates and an archive: changing the authority of
 * its certificates, replacing the replica of a region with nothing but its configuration, and restoring all of
 * it from the archive alone. Clients append meanwhile where the journal is to go on, and nobody sees an error.
 */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import { makeAuthority } from '../../libs/security/authority.ts';
import { DAY_MS } from '../../libs/security/testing-certificates.ts';
import type { Files } from '../../libs/security/testing-certificates.ts';
import { meridian } from '../cli/meridian.ts';
import { TARGET, readSettled, until } from '../journal/cluster.ts';
import { SecureCluster } from '../journal/secure-cluster.ts';

const ALL = [0, 1, 2];
const PATIENCE_MS = 100_000;
/** Appended between two steps. */
const APPENDS = 10;

const cluster = new SecureCluster();
let web: Files;
const archive = pathToFileURL(join(cluster.directory, 'archive')).href;

beforeAll(async () => {
  const small = { windowMs: 500, pollMs: 50, turnMs: 200, segmentBytes: 8192 };
  cluster.overrides['archive'] = { url: archive, ...small };
  await cluster.start();
  // Made once: later they are renewed where they stand.
  web = cluster.of('client', ['web']);
  for (const replica of ALL) await cluster.status(replica);
});
afterAll(async () => {
  await cluster.stop();
});

function connect(): Journal {
  const replicas = ALL.map((replica) => ({
    region: `r${replica}`,
    address: `127.0.0.1:${cluster.clientPorts[replica]}`,
  }));
  return connectJournal({ ...TARGET, replicas, deadlineMs: PATIENCE_MS, security: { tls: web } });
}

/** Appends one after the other, while something is done to the journal. */
class Load {
  readonly appended: string[] = [];
  lastTimestamp = 0;
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(name: string) {
    const journal = connect();
    this.#done = this.#run(name, journal).finally(() => journal.close({ drainMs: 0 }));
  }

  /** More appends have succeeded. */
  async goesOn(): Promise<void> {
    const wanted = this.appended.length + APPENDS;
    await until(() => this.appended.length >= wanted, PATIENCE_MS);
  }

  /** Throws what an append threw. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #run(name: string, journal: Journal): Promise<void> {
    while (!this.#isOver) {
      const body = `${name} ${this.appended.length}`;
      const done = await journal.append('web.drill', [{ body: Buffer.from(body) }]);
      this.lastTimestamp = done.timestamp;
      this.appended.push(body);
    }
  }
}

it('rotating the authority: both are trusted for a while, then the next one alone', async () => {
  const { certificates } = cluster;
  const before = certificates.authority.certificate;
  const next = makeAuthority('Next authority', new Date(Date.now() + DAY_MS));
  const load = new Load('rotating');
  await load.goesOn();

  // First everybody trusts both, then everybody shows a certificate of the next one, then trusts it alone.
  writeFileSync(certificates.ca, `${before}${next.certificate}`);
  await load.goesOn();
  const people = { 'client-web': 'client/web', 'admin-test': 'admin/test' };
  const replicas = Object.fromEntries(
    ALL.map((replica) => [`replica-one-r${replica}`, `replica/one/r${replica}`]),
  );
  for (const [file, who] of Object.entries({ ...people, ...replicas })) {
    const uris = [`spiffe://test/cluster/${TARGET.cluster}/${who}`];
    certificates.write(file, certificates.make({ uris }, next));
  }
  await load.goesOn();
  writeFileSync(certificates.ca, next.certificate);
  // Every connection made anew: a replica that starts again is heard by both others.
  for (const replica of ALL) {
    await cluster.kill(replica);
    await cluster.startReplica(replica);
    await load.goesOn();
  }
  await load.stop();
  await cluster.converged();
  const seen = (await readSettled(cluster, 0)).bodies;
  expect(seen.filter((body) => body.startsWith('rotating'))).toEqual(load.appended);
});

it('replacing the replica of a region: it begins with nothing, and votes again', async () => {
  const load = new Load('replacing');
  await load.goesOn();
  await cluster.kill(2);
  rmSync(cluster.dataOf(2), { recursive: true, force: true });
  await load.goesOn();
  await cluster.startReplica(2);
  await until(async () => (await cluster.status(2)).voting, PATIENCE_MS);
  // Now it is needed: without it there would be no two.
  await cluster.kill(1);
  await load.goesOn();
  await cluster.startReplica(1);
  await load.stop();
  await cluster.converged();
  for (const replica of ALL) {
    const seen = (await readSettled(cluster, replica)).bodies;
    expect(seen.filter((body) => body.startsWith('replacing'))).toEqual(load.appended);
  }
});

it('restoring from the archive: three replicas of what was archived, and nothing else', async () => {
  const load = new Load('restoring');
  await load.goesOn();
  await load.stop();
  const before = (await readSettled(cluster, 0)).lines;
  await until(async () => {
    const { stdout } = await meridian(['archive', 'status', archive, '--output', 'json']);
    return (JSON.parse(stdout) as { timestamp: number }).timestamp >= load.lastTimestamp;
  }, PATIENCE_MS);
  for (const replica of ALL) {
    await cluster.kill(replica);
    rmSync(cluster.dataOf(replica), { recursive: true, force: true });
  }
  for (const replica of ALL) {
    const place = [archive, cluster.dataOf(replica), '--replica', String(replica)];
    const restored = await meridian(['restore', ...place]);
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(cluster.dataOf(replica))).not.toEqual([]);
  }
  await Promise.all(ALL.map((replica) => cluster.startReplica(replica)));
  for (const replica of ALL) expect((await readSettled(cluster, replica)).lines).toEqual(before);
  const again = new Load('again');
  await again.goesOn();
  await again.stop();
  expect((await readSettled(cluster, 0)).lines.slice(0, before.length)).toEqual(before);
});
