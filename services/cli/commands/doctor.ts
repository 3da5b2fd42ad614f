/** `meridian doctor`: asks everybody, and says what is wrong, what it means and what to do. */
import { connect as connectTls } from 'node:tls';
import { SidecarService } from '../../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { connect } from '../../../libs/rpc/rpc.ts';
import { openClientSecurity } from '../../../libs/security/client-security.ts';
import type { JournalOptions } from '../../../libs/client/types.ts';
import { Credentials } from '../../../libs/security/credentials.ts';
import { EXIT } from '../exit-codes.ts';
import { findingsOf } from '../findings.ts';
import type { CertificateSeen, SidecarSeen } from '../findings.ts';
import type { Invocation } from '../invocation.ts';
import { askReplicas } from '../replicas.ts';
import { instanceView } from '../status-view.ts';

const DEADLINE_MS = 3_000;

export async function run(call: Invocation): Promise<number> {
  const endpoint = await call.endpoint();
  const { cluster, instance } = endpoint;
  const [answers, certificates, sidecars] = await Promise.all([
    askReplicas(endpoint),
    certificatesOf(endpoint),
    Promise.all(call.values.texts('sidecar').map((address) => askSidecar(endpoint, address))),
  ]);
  const now = new Date();
  const view = instanceView({ cluster, instance }, answers, now);
  const findings = findingsOf({ view, certificates, sidecars, now: now.getTime() });
  const value = { cluster, instance, time: now.toISOString(), encrypted: certificates !== null };
  const seen = (certificates ?? []).map(({ of, expiresAt }) => ({
    of,
    expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
  }));
  call.output.document({ ...value, findings, certificates: seen }, () =>
    findings.length === 0
      ? `${cluster}/${instance}: nothing is wrong with ${answers.length} replicas and ${sidecars.length} sidecars`
      : findings.map(({ problem, advice }) => `${problem}\n  ${advice}`).join('\n'),
  );
  if (certificates === null) call.output.note('calls go in the clear (--tls-ca)');
  return findings.length === 0 ? EXIT.ok : EXIT.no;
}

async function certificatesOf(endpoint: JournalOptions): Promise<CertificateSeen[] | null> {
  const { security, replicas } = endpoint;
  if (security === undefined) return null;
  const { tls } = security;
  const credentials = tls instanceof Credentials ? tls : new Credentials(tls);
  const { ca, own } = credentials.current;
  const theirs = await Promise.all(
    replicas.map(async ({ region, address }) => ({
      of: region,
      expiresAt: await expiryAt(address, ca),
    })),
  );
  return own === null ? theirs : [{ of: 'own', expiresAt: own.expiresAt }, ...theirs];
}

/** What is shown to whoever connects; null when nothing is, or another authority vouches for it. */
function expiryAt(address: string, ca: Buffer): Promise<number | null> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  return new Promise((resolve) => {
    const socket = connectTls({
      host,
      port: Number(address.slice(colon + 1)),
      ca,
      ALPNProtocols: ['h2'],
      servername: 'meridian',
      checkServerIdentity: () => undefined,
      // Looked at and not trusted: an expired one is what is looked for.
      rejectUnauthorized: false,
    });
    const finish = (expiresAt: number | null): void => {
      socket.destroy();
      resolve(expiresAt);
    };
    socket.setTimeout(DEADLINE_MS, () => {
      finish(null);
    });
    socket.once('error', () => {
      finish(null);
    });
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      finish(certificate === undefined ? null : Date.parse(certificate.validTo));
    });
  });
}

async function askSidecar(endpoint: JournalOptions, address: string): Promise<SidecarSeen> {
  const { cluster, security } = endpoint;
  const secure = openClientSecurity(security)?.({ cluster, role: 'sidecar' }) ?? null;
  const channel = connect(address, {}, secure);
  try {
    const method = SidecarService.method.status;
    const { ship, apply } = await channel.unary(method, { cluster }, { deadlineMs: DEADLINE_MS });
    const roles = Object.entries({ ship, apply }).flatMap(([role, status]) =>
      status === undefined ? [] : [{ role, state: status.state, error: status.error }],
    );
    return { address, roles, error: null };
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error;
    return { address, roles: [], error: `${error.reason}: ${error.message}` };
  } finally {
    channel.close();
  }
}
