import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../libs/config/config.ts';
import { journalSchema } from './config.ts';

const BASE = [
  '--cluster=c',
  '--instance=one',
  '--replica=0',
  '--region=a',
  '--data-directory=/tmp/x',
  '--peers=[{replica: 1, region: b, address: "b:1"}, {replica: 2, region: c, address: "c:1"}]',
];
const TLS = ['--tls-certificate=c.pem', '--tls-key=c.key', '--tls-ca=ca.pem'];

function mistakes(...argv: readonly string[]): readonly string[] {
  const loaded = loadConfig({
    schema: journalSchema,
    name: 'journal',
    argv: [...BASE, ...argv, '--check-config'],
    env: {},
  });
  return loaded.kind === 'mistakes' ? loaded.mistakes : [];
}

describe('a replica that listens', () => {
  it.each(['127.0.0.1:1', '127.8.0.1:1', 'localhost:1', '[::1]:1'])(
    'on loopback needs no certificates: %s',
    (address) => {
      expect(mistakes(`--listen=${address}`, `--peer-listen=${address}`)).toEqual([]);
    },
  );

  it.each(['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'example.com:1', '127.0.0.1.example.com:1'])(
    'beyond it is refused without: %s',
    (address) => {
      const found = mistakes('--listen=127.0.0.1:1', `--peer-listen=${address}`);
      expect(found).toEqual([expect.stringContaining('peer-listen: found')]);
      expect(found[0]).toContain('beyond loopback nothing is served in the clear');
      expect(mistakes(`--listen=${address}`, '--peer-listen=127.0.0.1:1')).toHaveLength(1);
      expect(mistakes(`--listen=${address}`, `--peer-listen=${address}`, ...TLS)).toEqual([]);
      const loud = '--tls-plaintext-beyond-loopback';
      expect(mistakes(`--listen=${address}`, `--peer-listen=${address}`, loud)).toEqual([]);
    },
  );

  it('serves HTTP beyond loopback with certificates only, and metrics with them when told so', () => {
    const ports = ['--listen=127.0.0.1:1', '--peer-listen=127.0.0.1:2'];
    expect(mistakes(...ports, '--http-listen=127.0.0.1:3')).toEqual([]);
    const [found = ''] = mistakes(...ports, '--http-listen=0.0.0.0:3');
    expect(found).toMatch(/http-listen: found .* beyond loopback nothing is served in the clear/);
    expect(mistakes(...ports, ...TLS, '--http-listen=0.0.0.0:3', '--metrics-tls')).toEqual([]);
    expect(mistakes(...ports, '--metrics-tls')).toEqual([
      expect.stringContaining('expected with tls.certificate'),
    ]);
  });

  it('has all of certificate, key and authorities, or none', () => {
    const address = ['--listen=127.0.0.1:1', '--peer-listen=127.0.0.1:2'];
    expect(mistakes(...address, '--tls-ca=ca.pem')).toEqual([
      expect.stringContaining('tls.certificate: missing'),
      expect.stringContaining('tls.key: missing'),
    ]);
    expect(mistakes(...address, ...TLS, '--tls-plaintext-beyond-loopback')).toHaveLength(1);
  });
});

describe('grants', () => {
  const given = (grant: string, ...more: string[]): readonly string[] =>
    mistakes(
      '--listen=127.0.0.1:1',
      '--peer-listen=127.0.0.1:2',
      `--access-grants=[${grant}]`,
      ...more,
    );

  it('are taken with certificates, and mean nothing without', () => {
    const grant = '{principal: client/web, operations: [append], streams: [web, "pg.*"]}';
    expect(given(grant, ...TLS)).toEqual([]);
    expect(given(grant)).toEqual([expect.stringContaining('nobody is asked who they are')]);
  });

  it.each([
    '{principal: replica, operations: [read], streams: ["*"]}',
    '{principal: nobody, operations: [read], streams: ["*"]}',
    '{principal: client/a/b, operations: [read], streams: ["*"]}',
    '{principal: client, operations: [peer], streams: ["*"]}',
    '{principal: client, operations: [], streams: ["*"]}',
    '{principal: client, operations: [read], streams: []}',
    '{principal: client, operations: [read], streams: ["a*b"]}',
  ])('are refused: %s', (grant) => {
    expect(given(grant, ...TLS).length).toBeGreaterThan(0);
  });
});
