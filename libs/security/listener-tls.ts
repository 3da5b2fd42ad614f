/**
 * TLS of a listener that is no gRPC server, from credentials that may change while the process runs, and whom a
 * connection's certificate names. A client without one is served as far as the listener lets it.
 */
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import type { Credentials } from './credentials.ts';
import { identityOf, mismatch } from './identity.ts';
import type { Expected, Identity } from './identity.ts';
import { MeridianError } from '../errors/errors.ts';

export interface Judgement {
  /** null: it shows no certificate that counts. */
  readonly identity: Identity | null;
  /** Why its certificate counts for nothing; null when it does, or there is none. */
  readonly refusal: string | null;
}

const MIN_VERSION = 'TLSv1.3';
const NOBODY: Judgement = { identity: null, refusal: null };

export class ListenerTls {
  readonly #credentials: Credentials;
  readonly #expected: Expected;
  #context: SecureContextOptions | null = null;
  #version = 0;

  /** `expected`: what the certificate of a client must name, when it shows one. */
  constructor(credentials: Credentials, expected: Expected) {
    this.#credentials = credentials;
    this.#expected = expected;
  }

  /** For the next handshake; the same object until the files have changed. */
  context(): SecureContextOptions {
    const { ca, own } = this.#credentials.current;
    if (this.#context === null || this.#version !== this.#credentials.version) {
      this.#version = this.#credentials.version;
      const shown = own === null ? {} : { cert: own.certificate, key: own.key };
      this.#context = { ca, minVersion: MIN_VERSION, ...shown };
    }
    return this.#context;
  }

  /** After the handshake. */
  judge(socket: TLSSocket): Judgement {
    return judge(socket, this.#expected);
  }
}

/** Whom the certificate of a connection names; `expected` null: anybody it likes. */
export function judge(socket: TLSSocket, expected: Expected | null): Judgement {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return NOBODY;
  const refuse = (refusal: string): Judgement => ({ identity: null, refusal });
  if (!socket.authorized) {
    return refuse(`the certificate is not good: ${String(socket.authorizationError)}`);
  }
  // A resumed session was verified when it began, and a connection may be older than its end.
  if (Date.parse(certificate.validTo) <= Date.now()) {
    return refuse('the certificate is not good: CERT_HAS_EXPIRED');
  }
  try {
    const identity = identityOf(certificate);
    const why = expected === null ? null : mismatch(identity, expected);
    return why === null ? { identity, refusal: null } : refuse(why);
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error;
    return refuse(error.message);
  }
}
