/** `meridian certs` and `meridian token` as processes: what they make is taken where it is to be used. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Credentials } from '../../libs/security/credentials.ts';
import { readSecrets } from '../../libs/security/security.ts';
import { verifyToken } from '../../libs/security/tokens.ts';
import { meridian } from './meridian.ts';

const directory = mkdtempSync(join(tmpdir(), 'meridian-cli-security-'));
const pki = join(directory, 'pki');
const path = (name: string): string => join(directory, name);
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function ok(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await meridian(words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

describe('meridian certs', () => {
  it('makes an authority once, and certificates that a service takes', async () => {
    await ok('certs', 'authority', '--directory', pki);
    const issue = ['certs', 'issue', 'replica/orders/eu', '--cluster', 'prod', '--directory', pki];
    const made = JSON.parse(await ok(...issue, '--output', 'json')) as Record<string, string>;
    expect(made['uri']).toBe('spiffe://meridian/cluster/prod/replica/orders/eu');
    const files = {
      ca: join(pki, 'ca.pem'),
      certificate: made['certificate'] ?? '',
      key: made['key'] ?? '',
    };
    for (const key of [files.key, join(pki, 'ca.key')]) {
      expect(statSync(key).mode & 0o777).toBe(0o600);
    }
    const credentials = new Credentials(files);
    expect(credentials.current.own?.identity.principal).toBe('replica/orders/eu');
    await ok(...issue);
    credentials.refresh();
    expect(credentials.version).toBe(2);
    expect(await ok('certs', 'show', files.certificate)).toMatch(/principal +replica\/orders\/eu/);
    expect((await meridian(['certs', 'authority', '--directory', pki])).code).not.toBe(0);
  });

  it('refuses whom nobody would know', async () => {
    for (const principal of ['root/x', 'replica/orders', 'client/a b', 'client']) {
      const words = ['certs', 'issue', principal, '--cluster', 'prod', '--directory', pki];
      expect((await meridian(words)).code, principal).toBe(2);
    }
  });
});

describe('meridian token', () => {
  it('makes secrets, tokens, and of tokens smaller ones', async () => {
    const secretFile = path('tokens.secret');
    await ok('token', 'secret', secretFile);
    const scope = ['--operation', 'append', '--operation', 'read', '--stream', 'web.*'];
    const create = ['token', 'create', '--secret-file', secretFile, '--cluster', 'prod'];
    const token = (await ok(...create, '--name', 'web', ...scope, '--valid-for', '1h')).trim();
    writeFileSync(path('token'), token, { mode: 0o600 });
    const narrow = ['token', 'narrow', '--token-file', path('token'), '--operation', 'read'];
    const child = (await ok(...narrow)).trim();
    await ok('token', 'secret', secretFile);
    const secrets = readSecrets(secretFile);
    expect(secrets).toHaveLength(2);
    const { links, principal } = verifyToken(secrets, child);
    expect(principal).toBe('client/web');
    expect(links.every((link) => link.covers('read', 'web.a'))).toBe(true);
    expect(links.every((link) => link.covers('append', 'web.a'))).toBe(false);
    expect(await ok('token', 'show', '--token-file', path('token'))).toContain(
      'append, read on web.*',
    );
    chmodSync(path('token'), 0o644);
    const open = await meridian(['token', 'show', '--token-file', path('token')]);
    expect(open.code).not.toBe(0);
    expect(open.stderr).toContain('chmod 0600');
    expect(readFileSync(secretFile, 'utf8')).not.toContain(token);
  });
});
