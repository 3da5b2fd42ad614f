/**
 * The certificate, key and authorities of a process, from files. They are looked at again when a
 * connection is about to be made or taken, at most once a second, so a renewed certificate counts from
 * the next handshake on and no open connection notices. Files that do not fit together (a renewal that
 * is half done) leave the ones before in force.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { MeridianError } from '../errors/errors.ts';
import { readGivenFile, readSecretFile, statGivenFile } from '../files/given-files.ts';
import { identityOf } from './identity.ts';
import type { Identity } from './identity.ts';

export interface CredentialFiles {
  /** PEM; the own certificate first, then those between it and the authority. */
  readonly certificate?: string | undefined;
  /** PEM, readable by its owner alone. */
  readonly key?: string | undefined;
  /** PEM, one or several authorities: during a change of authority both. */
  readonly ca: string;
}

export interface Material {
  readonly ca: Buffer;
  /** null: a client that shows no certificate. */
  readonly own: {
    readonly certificate: Buffer;
    readonly key: Buffer;
    readonly identity: Identity;
    /** Milliseconds since 1970. */
    readonly expiresAt: number;
  } | null;
}

const LOOK_MS = 1_000;

export class Credentials {
  readonly files: CredentialFiles;
  readonly #onTrouble: (message: string) => void;
  #material: Material;
  #stamp: string;
  #lookedAt = performance.now();
  #trouble = '';
  /** Goes up with every change, so that others know when to take the new ones. */
  version = 1;

  /** Errors: REFUSED when a file cannot be used; names it and says what to do. */
  constructor(files: CredentialFiles, onTrouble: (message: string) => void = () => undefined) {
    this.files = files;
    this.#onTrouble = onTrouble;
    this.#stamp = stampOf(files);
    this.#material = load(files);
  }

  /** The newest that can be used. */
  get current(): Material {
    this.refreshIfDue();
    return this.#material;
  }

  /** Looks, unless it has a moment ago. */
  refreshIfDue(): void {
    if (performance.now() - this.#lookedAt >= LOOK_MS) this.refresh();
  }

  /** Looks now. */
  refresh(): void {
    this.#lookedAt = performance.now();
    try {
      const stamp = stampOf(this.files);
      if (stamp === this.#stamp) return;
      const material = load(this.files);
      checkSamePerson(this.#material, material);
      this.#material = material;
      this.#stamp = stamp;
      this.#trouble = '';
      this.version += 1;
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      if (this.#trouble === error.message) return;
      this.#trouble = error.message;
      this.#onTrouble(`the certificates in use stay: ${error.message}`);
    }
  }
}

function load({ ca, certificate, key }: CredentialFiles): Material {
  const authorities = readGivenFile(ca, 'the authorities');
  parsed(authorities, ca);
  if (certificate === undefined && key === undefined) return { ca: authorities, own: null };
  if (certificate === undefined || key === undefined) {
    throw refused('a certificate and its key are given together or not at all');
  }
  const chain = readGivenFile(certificate, 'the certificate');
  const secret = readSecretFile(key, 'the key');
  const leaf = parsed(chain, certificate);
  let fits: boolean;
  try {
    fits = leaf.checkPrivateKey(createPrivateKey(secret));
  } catch {
    throw refused(`the key ${key} is not a private key in PEM`);
  }
  if (!fits) throw refused(`the key ${key} does not belong to the certificate ${certificate}`);
  let identity: Identity;
  try {
    identity = identityOf(leaf);
  } catch (error) {
    throw refused(`${certificate}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const expiresAt = Date.parse(leaf.validTo);
  if (expiresAt <= Date.now()) {
    throw refused(`the certificate ${certificate} has expired on ${leaf.validTo}: renew it`);
  }
  return { ca: authorities, own: { certificate: chain, key: secret, identity, expiresAt } };
}

/** A renewed certificate is the same one's; another name needs a start, where it is compared again. */
function checkSamePerson(before: Material, after: Material): void {
  const [one, other] = [before.own?.identity, after.own?.identity];
  if (one?.principal === other?.principal && one?.cluster === other?.cluster) return;
  throw refused(
    `the new certificate names ${other?.principal ?? 'nobody'}, this is ${one?.principal ?? 'nobody'}`,
  );
}

function parsed(pem: Buffer, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw refused(`${file} holds no certificate in PEM`);
  }
}

function stampOf({ ca, certificate, key }: CredentialFiles): string {
  return [ca, certificate, key]
    .filter((file) => file !== undefined)
    .map((file) => {
      const { mtimeMs, size, ino } = statGivenFile(file, 'the file');
      return `${mtimeMs} ${size} ${ino}`;
    })
    .join('|');
}

function refused(message: string): MeridianError {
  return new MeridianError('REFUSED', message);
}
