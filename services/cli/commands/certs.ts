/** `meridian certs`: an authority in a directory, and the certificates it makes. */
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { makeAuthority, makeLeaf } from '../../../libs/security/authority.ts';
import type { CertificateAndKey } from '../../../libs/security/authority.ts';
import { readSecretFile } from '../../../libs/files/given-files.ts';
import { identityFromUri, identityOf, isRole, uriOf } from '../../../libs/security/identity.ts';
import { UsageError } from '../arguments.ts';
import { columns } from '../columns.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';

const DAY_MS = 86_400_000;

export function authority(call: Invocation): Promise<number> {
  const directory = directoryOf(call);
  if (existsSync(join(directory, 'ca.pem'))) {
    throw new MeridianError(
      'REFUSED',
      `${join(directory, 'ca.pem')} is there: whoever trusts it would trust nobody; choose another --directory`,
    );
  }
  const validTo = endOf(call, 3650);
  const made = makeAuthority(call.values.text('name') ?? 'Meridian', validTo);
  tell(call, { ...write(directory, 'ca', made), validTo: validTo.toISOString() });
  return Promise.resolve(EXIT.ok);
}

export function issue(call: Invocation): Promise<number> {
  const directory = directoryOf(call);
  const principal = call.values.text('principal') ?? '';
  const [role = '', ...names] = principal.split('/');
  const cluster = call.values.text('cluster') ?? '';
  const trustDomain = call.values.text('trust-domain') ?? 'meridian';
  if (!isRole(role)) throw new UsageError(`${principal}: expected role/name`, call.command);
  const uri = uriOf(trustDomain, cluster, role, names);
  try {
    identityFromUri(uri);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), call.command);
  }
  if (!existsSync(join(directory, 'ca.pem'))) {
    throw new MeridianError(
      'REFUSED',
      `there is no authority in ${directory}: make one with \`meridian certs authority\`, or say --directory`,
    );
  }
  const issuer = {
    certificate: readFileSync(join(directory, 'ca.pem'), 'utf8'),
    key: readSecretFile(join(directory, 'ca.key'), 'the key of the authority').toString(),
  };
  const validTo = endOf(call, 30);
  const hosts = call.values.texts('host');
  const made = makeLeaf(issuer, principal, { uris: [uri], hosts, validTo });
  const files = write(directory, principal.replaceAll('/', '-'), made);
  tell(call, { ...files, uri, validTo: validTo.toISOString() });
  return Promise.resolve(EXIT.ok);
}

export function show(call: Invocation): Promise<number> {
  const file = call.values.text('file') ?? '';
  const bytes = readFileSync(file);
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(bytes);
  } catch (cause) {
    throw new MeridianError('INVALID', `${file} holds no certificate in PEM`, { cause });
  }
  const { cluster, principal } = identityOf(certificate);
  tell(call, {
    cluster,
    principal,
    validFrom: new Date(certificate.validFrom).toISOString(),
    validTo: new Date(certificate.validTo).toISOString(),
    issuer: certificate.issuer,
  });
  return Promise.resolve(EXIT.ok);
}

function directoryOf(call: Invocation): string {
  return call.values.text('directory') ?? 'pki';
}

function endOf(call: Invocation, defaultDays: number): Date {
  return new Date(Date.now() + (call.values.number('days') ?? defaultDays) * DAY_MS);
}

/** Each file appears whole; a pair that is half renewed is not taken by those who use it. */
function write(
  directory: string,
  name: string,
  { certificate, key }: CertificateAndKey,
): { certificate: string; key: string } {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const files = {
    certificate: join(directory, `${name}.pem`),
    key: join(directory, `${name}.key`),
  };
  for (const [file, text, mode] of [
    [files.key, key, 0o600],
    [files.certificate, certificate, 0o644],
  ] as const) {
    writeFileSync(`${file}.new`, text, { mode });
    renameSync(`${file}.new`, file);
  }
  return files;
}

function tell(call: Invocation, facts: Readonly<Record<string, string>>): void {
  call.output.document(facts, () => columns(Object.entries(facts)));
}
