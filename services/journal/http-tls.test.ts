/** What is served over HTTP with certificates: real handshakes, with the right certificate, a wrong one, and none. */
import { request } from 'node:https';
import type { RequestOptions } from 'node:https';
import { connect } from 'node:tls';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { startHttpServer } from '../../libs/http/http.ts';
import type { HttpConnection } from '../../libs/http/gate.ts';
import type { Listener } from '../../libs/http/http.ts';
import { isFromLoopback } from '../../libs/http/listening.ts';
import { makeAuthority } from '../../libs/security/authority.ts';
import { Credentials } from '../../libs/security/credentials.ts';
import { ListenerTls } from '../../libs/security/listener-tls.ts';
import { DAY_MS, TestCertificates } from '../../libs/security/testing-certificates.ts';
import type { Files } from '../../libs/security/testing-certificates.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { startMetricsServer } from '../../libs/telemetry/metrics-server.ts';

const certificates = new TestCertificates();
const own = certificates.of('replica', ['one', 'eu']);
const open: Listener[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close();
});
afterAll(() => {
  certificates.remove();
});

interface Got {
  readonly status: number;
  readonly body: string;
}

/** With a client's certificate, or without. */
function get(
  port: number,
  path: string,
  who: Files | null,
  more: RequestOptions = {},
): Promise<Got> {
  const shown =
    who === null ? {} : { cert: readFileSync(who.certificate), key: readFileSync(who.key) };
  const options = {
    host: '127.0.0.1',
    port,
    path,
    agent: false,
    ca: readFileSync(certificates.ca),
  };
  return new Promise((resolve, reject) => {
    const asked = request({ ...options, ...shown, ...more }, (response) => {
      let body = '';
      response.on('data', (part: Buffer) => (body += part.toString()));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

function tlsOf(files: Files = own): ListenerTls {
  return new ListenerTls(new Credentials(files), { cluster: 'c' });
}

/** Answers with whom the gate was told of. */
async function serve(tls = tlsOf()): Promise<number> {
  const gate = {
    admit: (_method: string, { identity, refusal }: HttpConnection) => ({
      checkRequest: () => undefined,
      checkAppend: () => undefined,
      charge: () => 0,
      told: { principal: (identity as { principal: string } | null)?.principal ?? null, refusal },
    }),
  };
  const listener = await startHttpServer({
    address: '127.0.0.1:0',
    gate,
    tls,
    routes: [
      {
        method: 'GET',
        pattern: '/who',
        handle: (exchange) => {
          const caller = exchange.admit('/x') as unknown as { told: object };
          exchange.response.end(JSON.stringify(caller.told));
        },
      },
    ],
    connectionsMax: 8,
    requestsMax: 4,
    bodyBytesMax: 1000,
    deadlineMs: 5000,
    onError: () => undefined,
  });
  open.push(listener);
  return listener.port;
}

describe('HTTP with certificates', () => {
  it('tells the gate whom a client names, that it names nobody, or why its certificate does not count', async () => {
    const port = await serve();
    const who = async (files: Files | null): Promise<unknown> =>
      JSON.parse((await get(port, '/who', files)).body);
    expect(await who(certificates.of('client', ['web']))).toEqual({
      principal: 'client/web',
      refusal: null,
    });
    expect(await who(null)).toEqual({ principal: null, refusal: null });
    expect(await who(certificates.of('client', ['web'], { cluster: 'other' }))).toEqual({
      principal: null,
      refusal: expect.stringContaining('expected cluster c') as string,
    });
    const stranger = makeAuthority('Strangers', new Date(Date.now() + DAY_MS));
    const uris = ['spiffe://test/cluster/c/client/web'];
    const forged = certificates.write('forged', certificates.make({ uris }, stranger));
    expect(await who(forged)).toMatchObject({
      principal: null,
      refusal: expect.stringContaining('not good') as string,
    });
  });

  it('answers nobody in the clear, nor by an older TLS, whatever name it is asked by', async () => {
    const port = await serve();
    await expect(fetch(`http://127.0.0.1:${port}/who`)).rejects.toThrow();
    await expect(get(port, '/who', null, { maxVersion: 'TLSv1.2' })).rejects.toThrow();
    const host = `journal.example.com:${port}`;
    const asked = async (headers: Record<string, string>): Promise<number> => {
      const checkServerIdentity = (): undefined => undefined;
      return (await get(port, '/who', null, { headers, checkServerIdentity })).status;
    };
    expect(await asked({ host })).toBe(200);
    expect(await asked({ host, origin: 'https://evil.example.com' })).toBe(403);
    expect(await asked({ host, origin: `https://${host}` })).toBe(200);
  });

  it('shows a renewed certificate from the next handshake on', async () => {
    const files = certificates.of('replica', ['one', 'us'], { file: 'renewed' });
    const credentials = new Credentials(files);
    const port = await serve(new ListenerTls(credentials, { cluster: 'c' }));
    const shown = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: '127.0.0.1', port, ca: readFileSync(certificates.ca) });
        socket.once('error', reject);
        socket.once('secureConnect', () => {
          resolve(socket.getPeerCertificate().serialNumber);
          socket.destroy();
        });
      });
    const before = await shown();
    expect(await shown()).toBe(before);
    certificates.of('replica', ['one', 'us'], { file: 'renewed' });
    credentials.refresh();
    expect(await shown()).not.toBe(before);
  });
});

/** An address of this machine that is not loopback, if it has one. */
const elsewhere = Object.values(networkInterfaces())
  .flatMap((each) => each ?? [])
  .find(({ internal, family }) => !internal && family === 'IPv4')?.address;

describe('metrics', () => {
  async function metrics(tls: ListenerTls | null, forAnybody = false): Promise<number> {
    const registry = new Registry();
    registry.counter({ name: 'meridian_x_total', help: 'X.' });
    const address = '0.0.0.0:0';
    const notReady = (): null => null;
    const listener = await startMetricsServer({ address, registry, notReady, tls, forAnybody });
    open.push(listener);
    return listener.port;
  }

  it('know this machine, by whichever of its addresses', () => {
    const from = (remoteAddress: string): boolean => isFromLoopback({ remoteAddress } as never);
    const own = ['127.0.0.1', '127.9.8.7', '::1', '::ffff:127.0.0.1'];
    const others = ['10.0.0.1', '::ffff:10.0.0.1', '', '1127.0.0.1', 'fe80::1'];
    expect([...own, ...others].filter(from)).toEqual(own);
  });

  it.runIf(elsewhere !== undefined)(
    'beyond this machine are for certificates of the cluster, or for nobody; liveness is for everybody',
    async () => {
      const host = elsewhere ?? '';
      const checkServerIdentity = (): undefined => undefined;
      const sealed = await metrics(tlsOf());
      const ask = (path: string, who: Files | null): Promise<Got> =>
        get(sealed, path, who, { host, checkServerIdentity });
      expect((await ask('/metrics', certificates.of('client', ['keeper']))).body).toContain(
        'meridian_x_total 0',
      );
      const stranger = certificates.of('client', ['keeper'], { cluster: 'other' });
      for (const who of [null, stranger]) expect((await ask('/metrics', who)).status).toBe(403);
      expect((await ask('/livez', null)).status).toBe(200);

      const clear = `http://${host}:${await metrics(null)}`;
      expect((await fetch(`${clear}/metrics`)).status).toBe(403);
      expect((await fetch(`${clear}/livez`)).status).toBe(200);
      const port = new URL(clear).port;
      expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
      const told = await metrics(null, true);
      expect((await fetch(`http://${host}:${told}/metrics`)).status).toBe(200);
    },
  );
});
