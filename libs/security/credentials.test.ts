import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { makeAuthority } from './authority.ts';
import { Credentials } from './credentials.ts';
import { identityFromUri, identityOf, mismatch } from './identity.ts';
import { DAY_MS, TestCertificates } from './testing-certificates.ts';

const made = new TestCertificates();
afterAll(() => {
  made.remove();
});

describe('a certificate of ours', () => {
  it('verifies against its authority and says what it is for, as OpenSSL reads it', () => {
    const files = made.of('replica', ['one', 'eu'], {
      hosts: ['journal.test', '127.0.0.1', '::1'],
    });
    const openssl = (...words: string[]): string =>
      execFileSync('openssl', words, { encoding: 'utf8' });
    const { ca, certificate } = files;
    for (const purpose of ['sslserver', 'sslclient']) {
      const words = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', ca, certificate];
      expect(openssl(...words)).toContain('OK');
    }
    const text = openssl('x509', '-in', certificate, '-noout', '-text');
    expect(text).toContain('URI:spiffe://test/cluster/c/replica/one/eu');
    expect(text).toContain('DNS:journal.test, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
    expect(text).toContain('CA:FALSE');
    expect(text).toContain('Digital Signature');
  });

  it('names one principal', () => {
    const leaf = made.make({ uris: ['spiffe://test/cluster/c/replica/one/eu'] });
    expect(identityOf(new X509Certificate(leaf.certificate))).toEqual({
      trustDomain: 'test',
      cluster: 'c',
      role: 'replica',
      names: ['one', 'eu'],
      principal: 'replica/one/eu',
    });
  });
});

describe('a certificate that names nobody', () => {
  const good = 'spiffe://test/cluster/c/client/x';
  it.each([
    ['no URI', [], /0 URIs/],
    ['two URIs', [good, `${good}y`], /2 URIs/],
    ['another scheme', ['https://test/cluster/c/client/x'], /scheme/],
    ['no cluster', ['spiffe://test/client/x'], /cluster/],
    ['an unknown role', ['spiffe://test/cluster/c/root/x'], /role/],
    ['no name', ['spiffe://test/cluster/c/client'], /one name/],
    ['an empty name', ['spiffe://test/cluster/c/client/'], /one name/],
    ['two names of a client', ['spiffe://test/cluster/c/client/x/y'], /one name/],
    ['a replica without region', ['spiffe://test/cluster/c/replica/one'], /instance and region/],
    ['a name with a comma', ['spiffe://test/cluster/c/client/x, URI:y'], /names nobody/],
    ['a query', [`${good}?role=admin`], /one name/],
  ])('is refused: %s', (_, uris, why) => {
    const { certificate } = made.make({ uris });
    expect(() => identityOf(new X509Certificate(certificate))).toThrow(why);
  });

  it('is refused: an authority', () => {
    const { certificate } = made.make({ uris: [good], authority: true });
    expect(() => identityOf(new X509Certificate(certificate))).toThrow(/authority/);
  });
});

describe('an identity', () => {
  const eu = identityFromUri('spiffe://test/cluster/c/replica/one/eu');
  it.each([
    [{ cluster: 'c' }, null],
    [{ cluster: 'c', role: 'replica', names: ['one', null] }, null],
    [{ cluster: 'd' }, /expected cluster d/],
    [{ cluster: 'c', role: 'crossbar' }, /expected a crossbar/],
    [{ cluster: 'c', role: 'replica', names: ['two', 'eu'] }, /replica\/two\/eu/],
    [{ cluster: 'c', role: 'replica', names: ['one', 'us'] }, /replica\/one\/us/],
  ] as const)('is compared with what is expected: %o', (expected, why) => {
    const found = mismatch(eu, expected);
    if (why === null) expect(found).toBeNull();
    else expect(found).toMatch(why);
  });
});

describe('credentials', () => {
  const refusalOf = (files: ConstructorParameters<typeof Credentials>[0]): string => {
    try {
      new Credentials(files);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    return '';
  };

  it('refuse a key that others may read, and say how to mend it', () => {
    const files = made.of('client', ['open']);
    chmodSync(files.key, 0o644);
    expect(refusalOf(files)).toMatch(/mode 0644.*chmod 0600/);
  });

  it('refuse files that cannot be used, by name', () => {
    const files = made.of('client', ['x']);
    const other = made.of('client', ['y']);
    expect(refusalOf({ ...files, key: other.key })).toContain('does not belong');
    expect(refusalOf({ ...files, certificate: '/nowhere' })).toContain(
      '/nowhere cannot be read (ENOENT)',
    );
    expect(refusalOf({ ca: files.key })).toContain('no certificate');
    expect(refusalOf({ ca: files.ca, certificate: files.certificate })).toContain('together');
    const past = { validFrom: new Date(Date.now() - DAY_MS), validTo: new Date(Date.now() - 1000) };
    expect(refusalOf(made.of('client', ['late'], past))).toContain('expired');
    expect(refusalOf(made.of('client', ['two'], { uris: [] }))).toContain('0 URIs');
  });

  it('take renewed files, keep the old while they do not fit, and refuse another name', () => {
    const files = made.of('client', ['renewed']);
    const troubles: string[] = [];
    const credentials = new Credentials(files, (message) => troubles.push(message));
    const before = credentials.current.own?.certificate.toString();
    const renewed = made.make({ uris: ['spiffe://test/cluster/c/client/renewed'] });
    writeFileSync(files.certificate, renewed.certificate);
    credentials.refresh();
    credentials.refresh();
    expect(troubles).toEqual([expect.stringContaining('does not belong')]);
    expect(credentials.current.own?.certificate.toString()).toBe(before);
    writeFileSync(files.key, renewed.key);
    credentials.refresh();
    expect(credentials.current.own?.certificate.toString()).toBe(renewed.certificate);
    expect(credentials.version).toBe(2);
    const stranger = made.make({ uris: ['spiffe://test/cluster/c/client/stranger'] });
    writeFileSync(files.certificate, stranger.certificate);
    writeFileSync(files.key, stranger.key);
    credentials.refresh();
    expect(troubles.at(-1)).toContain('names client/stranger, this is client/renewed');
    expect(credentials.version).toBe(2);
  });

  it('of another authority are not those of this one', () => {
    const other = makeAuthority('Test authority', new Date(Date.now() + DAY_MS));
    const leaf = made.make({ uris: [] }, other);
    const issuer = new X509Certificate(made.authority.certificate);
    expect(new X509Certificate(leaf.certificate).verify(issuer.publicKey)).toBe(false);
  });
});
