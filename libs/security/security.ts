/**
 * What a process needs to be somebody and to ask others who they are, made of its settings. In the clear
 * (no settings) it is null, and then nobody is asked.
 */
import { MeridianError } from '../errors/errors.ts';
import { readSecretFile } from '../files/given-files.ts';
import { Access } from './access.ts';
import type { AccessFigures, Denial } from './access.ts';
import { Credentials } from './credentials.ts';
import { mismatch } from './identity.ts';
import type { Expected } from './identity.ts';
import type { Grant } from './grants.ts';
import { ListenerTls } from './listener-tls.ts';
import { SECRET_BYTES } from './tokens.ts';

export interface SecuritySettings {
  readonly cluster: string;
  readonly tls: {
    readonly certificate?: string | undefined;
    readonly key?: string | undefined;
    readonly ca?: string | undefined;
  };
  readonly access: {
    readonly grants: readonly Grant[];
    readonly tokenSecretFile?: string | undefined;
    readonly revokedTokens: readonly string[];
    readonly operationsPerSecondMax: number;
    readonly bytesPerSecondMax: number;
  };
}

export interface Hearers {
  /** Something about the certificates; the process goes on with those it has. */
  readonly onWarning: (message: string) => void;
  /** The audit of what was refused. */
  readonly onDenied: (denial: Denial) => void;
}

export class Security {
  readonly credentials: Credentials;
  readonly access: Access;

  constructor(credentials: Credentials, access: Access) {
    this.credentials = credentials;
    this.access = access;
  }

  get figures(): AccessFigures & { readonly expiresAt: number } {
    return { ...this.access.figures, expiresAt: this.credentials.current.own?.expiresAt ?? 0 };
  }

  /** For a port of peers: whoever has no certificate of theirs does not get past the handshake. */
  forPeers(expected: Expected): ServerParts {
    return { credentials: this.credentials, expected, strict: true, gate: this.access };
  }

  /**
   * For a port of clients. Judged call by call: one without a certificate may show a token, or only ask
   * for health; and a bad certificate is told what is wrong with it, where a handshake just breaks off.
   */
  forClients(cluster: string): ServerParts {
    return {
      credentials: this.credentials,
      expected: { cluster },
      strict: false,
      gate: this.access,
    };
  }

  /** For what is served over HTTP. */
  forHttp(cluster: string): ListenerTls {
    return new ListenerTls(this.credentials, { cluster });
  }

  /** For calls to one that must be as expected. */
  to(expected: Expected): { readonly credentials: Credentials; readonly expected: Expected } {
    return { credentials: this.credentials, expected };
  }
}

interface ServerParts {
  readonly credentials: Credentials;
  readonly expected: Expected;
  readonly strict: boolean;
  readonly gate: Access;
}

/**
 * `self`: what the own certificate must name. Errors: REFUSED, naming the file and what is wrong with it.
 */
export function openSecurity(
  { cluster, tls, access }: SecuritySettings,
  self: Expected,
  { onWarning, onDenied }: Hearers,
): Security | null {
  const { ca, certificate, key } = tls;
  if (ca === undefined) return null;
  const credentials = new Credentials({ ca, certificate, key }, onWarning);
  const own = credentials.current.own?.identity;
  const why = own === undefined ? 'there is no own certificate' : mismatch(own, self);
  if (why !== null) throw new MeridianError('REFUSED', `tls.certificate ${certificate}: ${why}`);
  const secrets = access.tokenSecretFile === undefined ? [] : readSecrets(access.tokenSecretFile);
  const gate = new Access({
    cluster,
    grants: access.grants,
    secrets,
    revoked: access.revokedTokens,
    operationsPerSecond: access.operationsPerSecondMax,
    bytesPerSecond: access.bytesPerSecondMax,
    onDenied,
  });
  return new Security(credentials, gate);
}

/** One a line, in base64url. Errors: REFUSED. */
export function readSecrets(file: string): Buffer[] {
  const text = readSecretFile(file, 'the secrets of tokens').toString('utf8');
  const secrets = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => Buffer.from(line, 'base64url'));
  if (secrets.length > 0 && secrets.every((secret) => secret.length === SECRET_BYTES)) {
    return secrets;
  }
  throw new MeridianError(
    'REFUSED',
    `${file}: expected a secret of ${SECRET_BYTES} bytes in base64url on each line (\`meridian token secret\` makes one)`,
  );
}
