import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import { Access } from '../security/access.ts';
import type { Denial } from '../security/access.ts';
import { Credentials } from '../security/credentials.ts';
import type { Expected } from '../security/identity.ts';
import { makeAuthority } from '../security/authority.ts';
import { DAY_MS, TestCertificates } from '../security/testing-certificates.ts';
import type { Files } from '../security/testing-certificates.ts';
import { createToken } from '../security/tokens.ts';
import { connect } from './channel.ts';
import type { Channel } from './channel.ts';
import { batches, deferred, endOf, Pairs, startFakeJournal } from './fake-journal.ts';
import type { FakeJournal } from './fake-journal.ts';
import { MeridianError } from '../errors/errors.ts';

const made = new TestCertificates();
const pairs = new Pairs();
afterAll(async () => {
  await pairs.stop();
  made.remove();
});

const secret = randomBytes(32);
const SERVER: Expected = { cluster: 'c', role: 'replica', names: ['one', 'eu'] };
const denials: Denial[] = [];

function access(): Access {
  return new Access({
    cluster: 'c',
    grants: [{ principal: 'client/web', operations: ['status', 'append'], streams: ['*'] }],
    secrets: [secret],
    revoked: [],
    operationsPerSecond: 0,
    bytesPerSecond: 0,
    onDenied: (denial) => denials.push(denial),
  });
}

const handlers = { status: () => Promise.resolve({ region: 'eu' }) };

async function serve(
  files: Files,
  { strict = false, expected = { cluster: 'c' } } = {},
): Promise<FakeJournal & { credentials: Credentials; refused: string[] }> {
  const credentials = new Credentials(files);
  const refused: string[] = [];
  const server = await startFakeJournal(handlers, {
    security: { credentials, expected, strict, gate: access() },
    limits: { handshakeMs: 1_000 },
    onRefused: (why, _address, detail) => refused.push(`${why}: ${detail}`),
  });
  pairs.add(() => server.close(100));
  return { ...server, credentials, refused };
}

function dial(
  server: FakeJournal,
  files: Partial<Files> & { ca: string },
  expected: Expected = SERVER,
  token?: string,
): Channel {
  const channel = connect(
    server.address,
    {},
    {
      credentials: new Credentials(files),
      expected,
      token: token === undefined ? undefined : () => token,
    },
  );
  pairs.add(() => {
    channel.close();
  });
  return channel;
}

async function ask(channel: Channel): Promise<string> {
  try {
    const options = { deadlineMs: 20_000 };
    const { region } = await channel.unary(JournalService.method.status, {}, options);
    return `answered by ${region}`;
  } catch (error) {
    if (error instanceof MeridianError) return `${error.reason}: ${error.message}`;
    throw error;
  }
}

describe('a server with certificates', async () => {
  const eu = made.of('replica', ['one', 'eu']);
  const server = await serve(eu);

  it('answers a client with a good certificate and a grant', async () => {
    expect(await ask(dial(server, made.of('client', ['web'])))).toBe('answered by eu');
  });

  it('opens its receive window there, too', () => {
    expect(server.warnings).toEqual([]);
  });

  it('answers a token without a certificate, and nobody without either', async () => {
    const token = createToken(secret, {
      cluster: 'c',
      name: 'phone',
      operations: ['status'],
      streams: ['*'],
      expiresAt: Date.now() + DAY_MS,
    });
    expect(await ask(dial(server, { ca: made.ca }, SERVER, token))).toBe('answered by eu');
    expect(await ask(dial(server, { ca: made.ca }))).toMatch(/^UNAUTHENTICATED: who calls/);
    expect(await ask(dial(server, { ca: made.ca }, SERVER, `${token}x`))).toMatch(
      /^UNAUTHENTICATED/,
    );
  });

  it('denies what is not granted before it reads the message, and tells the audit', async () => {
    const garbage = batches(1 << 20);
    const error = await endOf(dial(server, made.of('client', ['other'])), [garbage]);
    expect(error?.reason).toBe('PERMISSION_DENIED');
    expect(denials.at(-1)).toMatchObject({ principal: 'client/other', message: /append/ });
  });

  const uri = 'spiffe://test/cluster/c/client/web';
  it.each([
    [
      'of another cluster',
      () => made.of('client', ['web'], { cluster: 'd', file: 'foreign' }),
      /cluster d.*expected cluster c/,
    ],
    [
      'for servers only',
      () => made.of('client', ['web'], { purposes: ['server'], file: 'server-only' }),
      /INVALID_PURPOSE/,
    ],
    [
      'not yet valid',
      () =>
        made.of('client', ['web'], { validFrom: new Date(Date.now() + DAY_MS / 2), file: 'early' }),
      /CERT_NOT_YET_VALID/,
    ],
    [
      'of another authority',
      () => {
        const stranger = makeAuthority('Test authority', new Date(Date.now() + DAY_MS));
        return made.write('stranger', made.make({ uris: [uri] }, stranger));
      },
      /UNABLE_TO|SIGNATURE|VERIFY/,
    ],
  ] as const)('tells a client what is wrong with a certificate %s', async (_, files, why) => {
    const answer = await ask(dial(server, files()));
    expect(answer).toMatch(/^UNAUTHENTICATED/);
    expect(answer).toMatch(why);
  });

  it('ends a connection whose certificate expires, and takes it no more', async () => {
    const validTo = new Date(Date.now() + 6_000);
    const channel = dial(server, made.of('client', ['web'], { validTo, file: 'short' }));
    expect(await ask(channel)).toBe('answered by eu');
    await expect
      .poll(() => server.refused, { timeout: 20_000 })
      .toContainEqual(expect.stringMatching(/^certificate: .*expired meanwhile/));
    // The first may still have been on its way when the connection was ended.
    await expect.poll(() => ask(channel)).toMatch(/EXPIRED/);
  });
});

describe('a client', async () => {
  const server = await serve(made.of('replica', ['one', 'eu']));
  const web = made.of('client', ['web']);

  it.each([
    ['another region', { ...SERVER, names: ['one', 'us'] }, /expected replica\/one\/us/],
    ['another instance', { ...SERVER, names: ['two', 'eu'] }, /expected replica\/two\/eu/],
    ['another role', { cluster: 'c', role: 'crossbar' }, /expected a crossbar/],
    ['another cluster', { cluster: 'd' }, /expected cluster d/],
  ] as const)('does not talk to a server of %s', async (_, expected, why) => {
    const answer = await ask(dial(server, web, expected));
    expect(answer).toMatch(/^UNAVAILABLE/);
    expect(answer).toMatch(why);
  });

  it('does not talk to a server with the certificate of a client, or without TLS', async () => {
    const onlyClient = made.of('replica', ['one', 'eu'], { purposes: ['client'], file: 'client' });
    expect(await ask(dial(await serve(onlyClient), web))).toMatch(/^UNAVAILABLE/);
    const { server: clear } = await pairs.pair(handlers);
    expect(await ask(dial(clear, web))).toMatch(/^UNAVAILABLE/);
  });

  it('in the clear gets no answer', async () => {
    const channel = connect(server.address);
    pairs.add(() => {
      channel.close();
    });
    expect(await ask(channel)).toMatch(/^(UNAVAILABLE|INDEFINITE)/);
  });
});

describe('a port of peers', async () => {
  const eu = made.of('replica', ['one', 'eu']);
  const expected = { cluster: 'c', role: 'replica', names: ['one', null] } as const;
  const server = await serve(eu, { strict: true, expected });

  it('lets nobody without a certificate past the handshake', async () => {
    expect(await ask(dial(server, { ca: made.ca }))).toMatch(/^(UNAVAILABLE|INDEFINITE)/);
  });

  it('refuses clients and replicas of other instances, saying what they are', async () => {
    expect(await ask(dial(server, made.of('client', ['web'])))).toMatch(
      /^UNAUTHENTICATED: .*client\/web.*expected a replica/,
    );
    expect(await ask(dial(server, made.of('replica', ['two', 'us'])))).toMatch(
      /^UNAUTHENTICATED: .*expected replica\/one/,
    );
    expect(server.refused).toContainEqual(expect.stringMatching(/^certificate: .*client\/web/));
  });
});

describe('renewed certificates', () => {
  it('count from the next connection on, while calls under way go on', async () => {
    const files = made.of('replica', ['one', 'us']);
    const [held, release] = [deferred<undefined>(), deferred<undefined>()];
    const credentials = new Credentials(files);
    const server = await startFakeJournal(
      {
        status: async () => {
          held.resolve(undefined);
          await release.promise;
          return { region: 'us' };
        },
      },
      { security: { credentials, expected: { cluster: 'c' }, strict: false, gate: access() } },
    );
    pairs.add(() => server.close(100));
    const us = { ...SERVER, names: ['one', 'us'] };
    const web = made.of('client', ['web']);
    const before = ask(dial(server, web, us));
    await held.promise;

    // Another authority: the server shows it and trusts both, as in the middle of a change.
    const next = makeAuthority('Next authority', new Date(Date.now() + DAY_MS));
    const both = `${made.authority.certificate}${next.certificate}`;
    const { writeFileSync } = await import('node:fs');
    writeFileSync(`${made.directory}/both.pem`, both);
    made.write(
      'replica-one-us',
      made.make({ uris: ['spiffe://test/cluster/c/replica/one/us'] }, next),
    );
    credentials.refresh();
    expect(await Promise.race([before, Promise.resolve('under way')])).toBe('under way');
    const after = ask(dial(server, { ...web, ca: `${made.directory}/both.pem` }, us));
    const old = await ask(dial(server, web, us));
    expect(old).toMatch(/^UNAVAILABLE: .*(certificate|issuer|CERT|signature)/i);
    release.resolve(undefined);
    expect(await Promise.all([before, after])).toEqual(['answered by us', 'answered by us']);
  });
});
