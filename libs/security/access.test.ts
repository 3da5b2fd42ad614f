import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { Access } from './access.ts';
import type { AccessOptions, Denial } from './access.ts';
import { identityFromUri } from './identity.ts';
import { TokenBucket } from './token-bucket.ts';
import { createToken, describeToken, narrowToken, verifyToken } from './tokens.ts';

const APPEND = '/meridian.journal.v1.JournalService/Append';
const READ = '/meridian.journal.v1.JournalService/Read';
const LIST = '/meridian.journal.v1.StreamService/ListStreams';
const HEALTH = '/grpc.health.v1.Health/Check';
const secret = randomBytes(32);
const HOUR_MS = 3_600_000;

function setUp(options: Partial<AccessOptions> = {}): {
  access: Access;
  denials: Denial[];
  connection: (principal: string | null, refusal?: string) => Parameters<Access['admit']>[1];
} {
  const denials: Denial[] = [];
  const access = new Access({
    cluster: 'c',
    grants: [
      { principal: 'client/orders', operations: ['append', 'read'], streams: ['orders', 'pg.*'] },
      { principal: 'client', operations: ['status'], streams: ['*'] },
    ],
    secrets: [secret],
    revoked: [],
    operationsPerSecond: 0,
    bytesPerSecond: 0,
    onDenied: (denial) => denials.push(denial),
    ...options,
  });
  const connection = (principal: string | null, refusal: string | null = null) => ({
    address: '10.0.0.1:1',
    identity: principal === null ? null : identityFromUri(`spiffe://test/cluster/c/${principal}`),
    refusal,
  });
  return { access, denials, connection };
}

function reasonOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof MeridianError) return error.reason;
    throw error;
  }
  return 'allowed';
}

const scope = (more: object = {}): Parameters<typeof createToken>[1] => ({
  cluster: 'c',
  name: 'web',
  operations: ['append', 'read'],
  streams: ['web.*'],
  expiresAt: Date.now() + HOUR_MS,
  ...more,
});

describe('access', () => {
  it('is denied to all whom no grant names, and every denial is told with who, what and where', () => {
    const { access, denials, connection } = setUp();
    expect(reasonOf(() => access.admit(APPEND, connection('client/web'), null, true))).toBe(
      'PERMISSION_DENIED',
    );
    expect(denials).toEqual([
      {
        reason: 'PERMISSION_DENIED',
        principal: 'client/web',
        address: '10.0.0.1:1',
        method: APPEND,
        message: 'client/web may not append',
      },
    ]);
    expect(access.figures.permissionDenied).toBe(1);
  });

  it('is for the streams of the grant and no others', () => {
    const { access, connection } = setUp();
    const caller = access.admit(APPEND, connection('client/orders'), null, true);
    for (const [stream, expected] of [
      ['orders', 'allowed'],
      ['pg.', 'allowed'],
      ['pg.orders', 'allowed'],
      ['orders2', 'PERMISSION_DENIED'],
      ['pg', 'PERMISSION_DENIED'],
    ]) {
      expect(
        reasonOf(() => {
          caller.checkAppend(stream ?? '');
        }),
      ).toBe(expected);
      expect(
        reasonOf(() => {
          caller.checkRequest(READ, { stream });
        }),
      ).toBe(expected);
    }
    expect(
      reasonOf(() => {
        caller.checkRequest(READ, { stream: '' });
      }),
    ).toBe('PERMISSION_DENIED');
    expect(
      reasonOf(() => {
        caller.checkRequest(LIST, { prefix: 'pg.o' });
      }),
    ).toBe('allowed');
    expect(
      reasonOf(() => {
        caller.checkRequest(LIST, { prefix: 'p' });
      }),
    ).toBe('PERMISSION_DENIED');
  });

  it('is refused to a connection without name, with a bad certificate, or gone; health is not', () => {
    const { access, connection } = setUp();
    const admit = (method: string, ...who: Parameters<typeof connection>): string =>
      reasonOf(() => access.admit(method, connection(...who), null, true));
    expect(admit(READ, null)).toBe('UNAUTHENTICATED');
    expect(admit(READ, 'client/orders', 'expired')).toBe('UNAUTHENTICATED');
    expect(admit(HEALTH, null)).toBe('allowed');
    expect(admit('/meridian.journal.v1.JournalService/Nothing', 'admin/a')).toBe(
      'PERMISSION_DENIED',
    );
  });

  it('is slowed down by the rate of the principal, for heartbeats never', () => {
    const { access, connection } = setUp({ operationsPerSecond: 2, bytesPerSecond: 1000 });
    const admin = connection('admin/a');
    const call = (method: string): string =>
      reasonOf(() => access.admit(method, admin, null, true));
    expect([call(READ), call(READ), call(READ)]).toEqual(['allowed', 'allowed', 'OVERLOADED']);
    expect(call('/meridian.journal.v1.JournalService/Heartbeat')).toBe('allowed');
    expect(reasonOf(() => access.admit(READ, connection('admin/b'), null, true))).toBe('allowed');
    const caller = access.admit(APPEND, connection('admin/c'), null, true);
    expect(caller.charge(900)).toBe(0);
    expect(caller.charge(600)).toBeGreaterThan(400);
  });
});

describe('a token', () => {
  const { access, connection } = setUp();
  const admit = (token: string, method = APPEND): ReturnType<Access['admit']> =>
    access.admit(method, connection(null), token, true);

  it('gives what it says to who has no certificate, and nothing else', () => {
    const caller = admit(createToken(secret, scope()));
    expect(caller.principal).toBe('client/web');
    expect(
      reasonOf(() => {
        caller.checkAppend('web.a');
      }),
    ).toBe('allowed');
    expect(
      reasonOf(() => {
        caller.checkAppend('orders');
      }),
    ).toBe('PERMISSION_DENIED');
    const status = '/meridian.journal.v1.JournalService/Status';
    expect(reasonOf(() => admit(createToken(secret, scope()), status))).toBe('PERMISSION_DENIED');
  });

  it('is narrowed without the secret and never widened', () => {
    const parent = createToken(secret, scope());
    const child = narrowToken(parent, { operations: ['read'], streams: ['web.a*'] });
    const wider = narrowToken(child, {
      operations: ['append', 'read', 'trim'],
      streams: ['*'],
      expiresAt: Date.now() + 100 * HOUR_MS,
    });
    for (const token of [child, wider]) {
      expect(reasonOf(() => admit(token))).toBe('PERMISSION_DENIED');
      const caller = admit(token, READ);
      expect(
        reasonOf(() => {
          caller.checkRequest(READ, { stream: 'web.a1' });
        }),
      ).toBe('allowed');
      expect(
        reasonOf(() => {
          caller.checkRequest(READ, { stream: 'web.b' });
        }),
      ).toBe('PERMISSION_DENIED');
      expect(
        reasonOf(() => {
          caller.checkRequest(READ, { stream: '' });
        }),
      ).toBe('PERMISSION_DENIED');
    }
    expect(describeToken(wider).expiresAt).toBe(describeToken(parent).expiresAt);
  });

  it('is refused when a byte of it was changed, a link cut off or put in', () => {
    const parent = createToken(secret, scope());
    const child = narrowToken(parent, { operations: ['read'] });
    const [version, root, link, mac] = child.split('.');
    const forged = Buffer.from(JSON.stringify({ operations: ['append'] })).toString('base64url');
    for (const wrong of [
      [version, root, mac],
      [version, root, forged, mac],
      [version, root, link, forged, mac],
      [version, link, root, mac],
      [version, root, link, `${mac?.slice(0, -3)}AAA`],
      [version, root, link],
      ['meridian2', root, link, mac],
      ['x'.repeat(5000)],
      [''],
    ]) {
      expect(reasonOf(() => verifyToken([secret], wrong.join('.')))).toBe('UNAUTHENTICATED');
    }
    expect(reasonOf(() => verifyToken([secret], child))).toBe('allowed');
  });

  it('counts for its cluster, its secret and its time, and not once it is revoked', () => {
    const of = (more: object): string => createToken(secret, scope(more));
    expect(reasonOf(() => admit(of({ cluster: 'd' })))).toBe('UNAUTHENTICATED');
    expect(reasonOf(() => admit(createToken(randomBytes(32), scope())))).toBe('UNAUTHENTICATED');
    const token = of({});
    const { id, expiresAt } = describeToken(token);
    const revoking = setUp({ revoked: [id] }).access;
    expect(reasonOf(() => revoking.admit(APPEND, connection(null), token, true))).toBe(
      'UNAUTHENTICATED',
    );
    const real = Date.now;
    try {
      Date.now = () => expiresAt;
      expect(reasonOf(() => admit(token))).toBe('UNAUTHENTICATED');
    } finally {
      Date.now = real;
    }
    const both = setUp({ secrets: [randomBytes(32), secret] }).access;
    expect(reasonOf(() => both.admit(APPEND, connection(null), token, true))).toBe('allowed');
    const none = setUp({ secrets: [] }).access;
    expect(reasonOf(() => none.admit(APPEND, connection(null), token, true))).toBe(
      'UNAUTHENTICATED',
    );
  });

  it('is not made for nothing, for ever, for replicas, or of a name that is none', () => {
    for (const more of [
      { operations: [] },
      { operations: ['peer'] },
      { streams: [] },
      { expiresAt: Date.now() - 1 },
      { expiresAt: Date.now() + 400 * 24 * HOUR_MS },
      { name: 'a/b' },
    ]) {
      expect(reasonOf(() => createToken(secret, scope(more)))).toBe('INVALID');
    }
  });
});

describe('a bucket', () => {
  it('gives what has come in since, up to its burst, and says how long the rest takes', () => {
    const bucket = new TokenBucket(10, 20);
    expect(bucket.tryTake(20, 0)).toBe(0);
    expect(bucket.tryTake(1, 0)).toBe(100);
    expect(bucket.tryTake(1, 100)).toBe(0);
    expect(bucket.take(5, 100)).toBe(500);
    expect(bucket.take(0, 600)).toBe(0);
    expect(bucket.tryTake(21, 100_000)).toBe(100);
  });
});
