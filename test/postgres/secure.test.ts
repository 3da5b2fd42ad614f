/**
 * The whole chain with certificates, each part a process of its own: a sidecar ships out of a Postgres into
 * replicas, a crossbar follows them, another sidecar applies from there. With the grants that SECURITY.md
 * names and no others, so that what is documented is enough.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster as Postgres } from '../../libs/postgres/cluster.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { makeAuthority } from '../../libs/security/authority.ts';
import { Credentials } from '../../libs/security/credentials.ts';
import type { CredentialFiles } from '../../libs/security/credentials.ts';
import type { Role } from '../../libs/security/identity.ts';
import { DAY_MS } from '../../libs/security/testing-certificates.ts';
import type { Files } from '../../libs/security/testing-certificates.ts';
import { TARGET, until } from '../journal/cluster.ts';
import { SecureCluster, reasonOf } from '../journal/secure-cluster.ts';
import { documentedGrant } from './documented-grant.ts';

const READY_MS = 60_000;
const DEADLINE_MS = 20_000;
const STREAM = 'pg.shop';
const { cluster } = TARGET;

const directory = mkdtempSync(join(tmpdir(), 'meridian-secure-'));
const journal = new SecureCluster();
const children: Child[] = [];
const databases: Postgres[] = [];
const clients: pg.Client[] = [];
const channels: Channel[] = [];
/** Of the crossbar, the shipping sidecar and the applying one. */
let addresses = ['', '', ''];

beforeAll(async () => {
  chmodSync(directory, 0o755);
  const ports = await reservePorts(5);
  releasePorts(ports);
  addresses = ports.slice(0, 3).map((port) => `127.0.0.1:${port}`);
  journal.grants.push({
    principal: 'sidecar/shop',
    operations: [...documentedGrant()],
    streams: [STREAM],
  });
  await Promise.all([
    journal.start(),
    ...ports.slice(3).map(async (port, i) => {
      const settings = { fsync: 'off' };
      const made = await createCluster({ directory: join(directory, `pg-${i}`), port, settings });
      databases[i] = made;
      await made.start();
      const client = await connectPostgres(
        { address: made.address(), applicationName: 'test' },
        () => undefined,
      );
      await client.query('SET search_path = public');
      await client.query('CREATE TABLE item (id int PRIMARY KEY)');
      clients[i] = client;
    }),
  ]);
  const replicas = journal.clientPorts.map((port, i) => ({
    region: `r${i}`,
    address: `127.0.0.1:${port}`,
  }));
  const shop = journal.of('sidecar', ['shop']);
  const common = { cluster, stream: STREAM, instance: { name: TARGET.instance, replicas } };
  await Promise.all([
    start('crossbar', journal.of('crossbar', ['r1']), {
      ...{ cluster, region: 'r1', listen: addresses[0] },
      instances: [{ name: TARGET.instance, number: 1, replicas }],
      access: {
        grants: [{ principal: 'sidecar/shop', operations: ['read', 'tail'], streams: [STREAM] }],
      },
    }),
    start('sidecar', shop, {
      ...{ ...common, region: 'r0', roles: ['ship'], listen: addresses[1] },
      postgres: databases[0]?.url(),
      ship: { synchronous: true },
    }),
    start('sidecar', shop, {
      ...{ ...common, region: 'r2', roles: ['apply'], listen: addresses[2] },
      postgres: databases[1]?.url(),
      apply: { crossbars: [addresses[0]] },
      access: {
        grants: [{ principal: 'client/web', operations: ['tail'], streams: ['*'] }],
      },
    }),
  ]);
  for (const [i, state] of [
    [1, 'streaming'],
    [2, 'applying'],
  ] as const) {
    const admin = dial(i, 'sidecar', journal.of('admin', ['test']));
    await until(async () => {
      const { ship, apply } = await admin.unary(
        SidecarService.method.status,
        { cluster },
        { deadlineMs: DEADLINE_MS },
      );
      if ((ship ?? apply)?.state === state) return true;
      throw new Error(`${(ship ?? apply)?.state ?? ''}: ${(ship ?? apply)?.error ?? ''}`);
    });
  }
});

afterAll(async () => {
  for (const channel of channels) channel.close();
  for (const client of clients) client.end().catch(() => undefined);
  for (const child of children) await child.kill();
  for (const database of databases) await database.stop('immediate');
  await journal.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('sidecars and a crossbar with certificates', () => {
  it('carry a COMMIT to a linearizable read with the grants that are documented', async () => {
    await clients[0]?.query('INSERT INTO item VALUES (1)');
    expect(await reasonOf(wait(dial(2, 'sidecar', journal.of('client', ['web']))))).toBe('done');
    expect((await clients[1]?.query('SELECT FROM item'))?.rowCount).toBe(1);
  });

  it('serve nobody who shows no certificate, one of another cluster, or has no grant', async () => {
    const { ca } = journal.certificates;
    const foreign = journal.certificates.of('admin', ['x'], { cluster: 'other', file: 'foreign' });
    for (const [files, reason] of [
      [{ ca }, 'UNAUTHENTICATED'],
      [foreign, 'UNAUTHENTICATED'],
      [journal.of('client', ['other']), 'PERMISSION_DENIED'],
    ] as const) {
      expect(await reasonOf(wait(dial(2, 'sidecar', files)))).toBe(reason);
      expect(await reasonOf(readPoint(dial(0, 'crossbar', files)))).toBe(reason);
    }
    const promotion = dial(1, 'sidecar', journal.of('client', ['web'])).unary(
      SidecarService.method.promote,
      { cluster },
      { deadlineMs: DEADLINE_MS },
    );
    expect(await reasonOf(promotion)).toBe('PERMISSION_DENIED');
  });

  it('are refused by who calls them when they are not what was called', async () => {
    const admin = journal.of('admin', ['test']);
    await expect(wait(dial(2, 'crossbar', admin))).rejects.toThrow('expected a crossbar');
  });

  it('show renewed certificates of another authority without a restart', async () => {
    const { certificates } = journal;
    const next = makeAuthority('Next authority', new Date(Date.now() + DAY_MS));
    const onlyNext = join(certificates.directory, 'next.pem');
    writeFileSync(onlyNext, next.certificate);
    writeFileSync(certificates.ca, `${certificates.authority.certificate}${next.certificate}`);
    for (const [file, name] of [
      ['crossbar-r1', 'crossbar/r1'],
      ['sidecar-shop', 'sidecar/shop'],
    ] as const) {
      const uris = [`spiffe://test/cluster/${cluster}/${name}`];
      certificates.write(file, certificates.make({ uris }, next));
    }
    const admin = { ...journal.of('admin', ['test']), ca: onlyNext };
    for (const [at, role, ask] of [
      [0, 'crossbar', readPoint],
      [2, 'sidecar', wait],
    ] as const) {
      await until(async () => (await reasonOf(ask(dial(at, role, admin)))) === 'done');
    }
  });
});

/** With a certificate, and the authority that all of them trust. */
async function start(
  service: 'crossbar' | 'sidecar',
  tls: Files,
  config: Record<string, unknown>,
): Promise<void> {
  const file = join(directory, `${service}-${String(config['region'])}.json`);
  writeFileSync(file, JSON.stringify({ ...config, tls }));
  const main = fileURLToPath(new URL(`../../dist/services/${service}/main.js`, import.meta.url));
  const child = await spawnChild({
    name: service,
    command: process.execPath,
    args: [main, '--config', file],
  });
  children.push(child);
  await child.ready({ line: /"msg":"(listening|following every instance)"/ }, READY_MS);
}

function dial(at: number, role: Role, files: CredentialFiles): Channel {
  const credentials = new Credentials(files);
  const channel = connect(addresses[at] ?? '', {}, { credentials, expected: { cluster, role } });
  channels.push(channel);
  return channel;
}

function wait(channel: Channel): Promise<unknown> {
  return channel.unary(SidecarService.method.wait, { cluster }, { deadlineMs: DEADLINE_MS });
}

function readPoint(channel: Channel): Promise<unknown> {
  return channel.unary(CrossbarService.method.heartbeat, { cluster }, { deadlineMs: DEADLINE_MS });
}
