/**
 * Who somebody is, from the one name in its certificate that counts: a SPIFFE URI
 *
 *     spiffe://<trust domain>/cluster/<cluster>/<role>/<name>[/<name>]
 *
 * A replica's names are its instance and its region. Everything else in a certificate (common name, DNS
 * names, addresses) is ignored, so that no two readers of it can disagree about whom it names.
 *
 * Does not verify the chain, the time or the purpose: TLS has done that before.
 */
import type { X509Certificate } from 'node:crypto';
import { MeridianError } from '../errors/errors.ts';

export const ROLES = ['replica', 'crossbar', 'sidecar', 'applier', 'client', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface Identity {
  readonly trustDomain: string;
  readonly cluster: string;
  readonly role: Role;
  /** Of a replica: instance and region. */
  readonly names: readonly string[];
  /** Role and names, `client/orders`: what grants, logs and limits know it by. */
  readonly principal: string;
}

/** What the other side of a connection must be; what is left out does not matter. */
export interface Expected {
  readonly cluster: string;
  readonly role?: Role;
  readonly names?: readonly (string | null)[];
}

const NAME = /^[\w.-]{1,64}$/;
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;

/** Errors: UNAUTHENTICATED, saying what is wrong with the name. */
export function identityFromUri(uri: string): Identity {
  const wrong = (why: string): MeridianError =>
    new MeridianError(
      'UNAUTHENTICATED',
      `${JSON.stringify(uri.slice(0, 300))} names nobody here: ${why}; ` +
        'expected spiffe://<trust domain>/cluster/<cluster>/<role>/<name>',
    );
  if (!uri.startsWith('spiffe://')) throw wrong('the scheme is not spiffe');
  const [trustDomain = '', word, cluster = '', role = '', ...names] = uri.slice(9).split('/');
  if (!TRUST_DOMAIN.test(trustDomain)) throw wrong('there is no proper trust domain');
  if (word !== 'cluster' || !NAME.test(cluster)) throw wrong('there is no /cluster/<cluster>');
  if (!isRole(role)) throw wrong(`the role is none of ${ROLES.join(', ')}`);
  const expected = role === 'replica' ? 2 : 1;
  if (names.length !== expected || !names.every((name) => NAME.test(name))) {
    throw wrong(
      role === 'replica'
        ? 'a replica is named by instance and region'
        : 'one name of letters, digits, dots, dashes or underscores follows the role',
    );
  }
  return { trustDomain, cluster, role, names, principal: [role, ...names].join('/') };
}

export function uriOf(
  trustDomain: string,
  cluster: string,
  role: Role,
  names: readonly string[],
): string {
  return `spiffe://${trustDomain}/cluster/${cluster}/${role}/${names.join('/')}`;
}

/** Errors: UNAUTHENTICATED for a certificate that is an authority's or names not exactly one URI. */
export function identityOf(certificate: X509Certificate): Identity {
  if (certificate.ca) {
    throw new MeridianError(
      'UNAUTHENTICATED',
      'the certificate is an authority, which signs others and is nobody itself',
    );
  }
  const uris = urisOf(certificate.subjectAltName ?? '');
  const [uri] = uris;
  if (uri === undefined || uris.length > 1) {
    throw new MeridianError(
      'UNAUTHENTICATED',
      `the certificate has ${uris.length} URIs as alternative names; expected exactly one`,
    );
  }
  return identityFromUri(uri);
}

/** Why `identity` is not the one expected; null when it is. */
export function mismatch(identity: Identity, expected: Expected): string | null {
  const is = `the certificate names ${identity.principal} of cluster ${identity.cluster}`;
  if (identity.cluster !== expected.cluster) return `${is}; expected cluster ${expected.cluster}`;
  if (expected.role !== undefined && identity.role !== expected.role) {
    return `${is}; expected a ${expected.role}`;
  }
  const wrong = (expected.names ?? []).some(
    (name, at) => name !== null && name !== identity.names[at],
  );
  if (!wrong) return null;
  const names = (expected.names ?? []).map((name) => name ?? '*');
  return `${is}; expected ${[expected.role ?? identity.role, ...names].join('/')}`;
}

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}

/**
 * Node writes alternative names as `URI:…, DNS:…` and puts one with unusual characters in quotes, so a
 * quoted one is kept whole, and then refused because no name here has such characters.
 */
function urisOf(subjectAltName: string): string[] {
  const entries = subjectAltName.match(/(?:[^",]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return entries
    .map((entry) => entry.trim())
    .filter((entry) => entry.startsWith('URI:'))
    .map((entry) => entry.slice(4));
}
