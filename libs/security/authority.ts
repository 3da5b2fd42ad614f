/**
 * A certificate authority for development and for clusters without one: P-256 keys, certificates with
 * the one SPIFFE name that Meridian looks at. Makes bytes, writes no file, and knows no revocation:
 * certificates are short-lived and renewed.
 */
import {
  X509Certificate,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { MeridianError } from '../errors/errors.ts';
import * as der from './der.ts';

/** PEM. */
export interface CertificateAndKey {
  readonly certificate: string;
  readonly key: string;
}

export interface LeafOptions {
  /** Alternative names that are URIs; a proper certificate has one. */
  readonly uris: readonly string[];
  /** Host names and addresses, for other programs that look at them. */
  readonly hosts?: readonly string[];
  readonly validFrom?: Date;
  readonly validTo: Date;
  /** Default: both. */
  readonly purposes?: readonly ('server' | 'client')[];
  /** true: an authority below this one. */
  readonly authority?: boolean;
}

const OID = {
  ecPublicKeyWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
} as const;

/** Clocks differ: a certificate of now is already good for those a little behind. */
const BACKDATE_MS = 5 * 60_000;

export function makeAuthority(name: string, validTo: Date): CertificateAndKey {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return issue({
    subject: name,
    issuer: name,
    publicKey: keys.publicKey,
    privateKey: keys.privateKey,
    signedBy: keys.privateKey,
    leaf: { uris: [], validTo, authority: true },
  });
}

/** Errors: REFUSED when `authority` is none. */
export function makeLeaf(
  authority: CertificateAndKey,
  name: string,
  leaf: LeafOptions,
): CertificateAndKey {
  const issuer = new X509Certificate(authority.certificate);
  const signedBy = createPrivateKey(authority.key);
  if (!issuer.ca || !issuer.checkPrivateKey(signedBy)) {
    throw new MeridianError('REFUSED', 'this is not an authority with its key');
  }
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { publicKey, privateKey } = keys;
  const issuerName = /^CN=(.*)$/m.exec(issuer.subject)?.[1] ?? '';
  return issue({ subject: name, issuer: issuerName, publicKey, privateKey, signedBy, leaf });
}

interface Issue {
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly signedBy: KeyObject;
  readonly leaf: LeafOptions;
}

function issue(request: Issue): CertificateAndKey {
  const { subject, issuer, publicKey, privateKey, signedBy, leaf } = request;
  const algorithm = der.sequence(der.oid(OID.ecPublicKeyWithSha256));
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const validFrom = leaf.validFrom ?? new Date(Date.now() - BACKDATE_MS);
  const signed = der.sequence(
    der.tagged(0, der.integer(Buffer.from([2])), true),
    der.integer(serial),
    algorithm,
    nameOf(issuer),
    der.sequence(der.time(validFrom), der.time(leaf.validTo)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der.tagged(3, der.sequence(...extensions(publicKey, signedBy, leaf)), true),
  );
  const signature = sign('sha256', signed, signedBy);
  const certificate = der.sequence(signed, algorithm, der.bits(signature));
  return {
    certificate: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function extensions(publicKey: KeyObject, signedBy: KeyObject, leaf: LeafOptions): Buffer[] {
  const isAuthority = leaf.authority === true;
  const purposes = leaf.purposes ?? ['server', 'client'];
  const hosts = leaf.hosts ?? [];
  const names = [
    ...leaf.uris.map((uri) => der.tagged(6, Buffer.from(uri, 'latin1'), false)),
    ...hosts.map((host) =>
      isIP(host) === 0
        ? der.tagged(2, Buffer.from(host, 'latin1'), false)
        : der.tagged(7, addressBytes(host), false),
    ),
  ];
  return [
    extension(OID.basicConstraints, der.sequence(...(isAuthority ? [der.yes()] : [])), true),
    // keyCertSign and cRLSign, or digitalSignature.
    extension(
      OID.keyUsage,
      isAuthority ? der.bits(Buffer.from([0x06]), 1) : der.bits(Buffer.from([0x80]), 7),
      true,
    ),
    extension(OID.subjectKeyId, der.octets(keyId(publicKey))),
    extension(OID.authorityKeyId, der.sequence(der.tagged(0, keyId(signedBy), false))),
    ...(isAuthority
      ? []
      : [extension(OID.extendedKeyUsage, der.sequence(...purposes.map((p) => der.oid(OID[p]))))]),
    ...(names.length === 0 ? [] : [extension(OID.subjectAltName, der.sequence(...names))]),
  ];
}

function extension(id: string, content: Buffer, critical = false): Buffer {
  return der.sequence(der.oid(id), ...(critical ? [der.yes()] : []), der.octets(content));
}

function nameOf(commonName: string): Buffer {
  return der.sequence(
    der.set(der.sequence(der.oid(OID.commonName), der.text(commonName.slice(0, 64)))),
  );
}

function keyId(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

function addressBytes(host: string): Buffer {
  if (isIP(host) === 4) return Buffer.from(host.split('.').map(Number));
  const [before = '', after] = host.split('::');
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => parseInt(word, 16));
  const [head, tail] = [words(before), words(after ?? '')];
  const gap = Array.from({ length: 8 - head.length - tail.length }, () => 0);
  return Buffer.from([...head, ...gap, ...tail].flatMap((word) => [word >> 8, word & 0xff]));
}

function pem(kind: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${kind}-----\n${lines.join('\n')}\n-----END ${kind}-----\n`;
}
