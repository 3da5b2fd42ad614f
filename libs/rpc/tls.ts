/**
 * TLS for both sides of grpc-js, from credentials that may change while the process runs: every new
 * handshake uses the newest, open connections go on. At least TLS 1.3 everywhere. grpc-js' own providers
 * of certificates (experimental) poll files too, but let nobody say which TLS is the least.
 *
 * Who may connect is decided by the one URI in a certificate (libs/security/identity.ts) and never by
 * host names, so addresses may change without new certificates.
 */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import type { Credentials } from '../security/credentials.ts';
import { identityOf, mismatch } from '../security/identity.ts';
import type { Expected } from '../security/identity.ts';
import { MeridianError } from '../errors/errors.ts';

const MIN_VERSION = 'TLSv1.3';
/** Sent as the name of the server: an address would be refused by Node, and nobody looks at it. */
export const SERVER_NAME = 'meridian';

/** How a client shows who it is and knows whom it talks to. */
export interface ChannelSecurity {
  readonly credentials: Credentials;
  /** What the server must be. */
  readonly expected: Expected;
  /** Sent with every call; asked for each time, so that it may be renewed. */
  readonly token?: (() => string) | undefined;
}

export interface ServerTlsOptions {
  readonly credentials: Credentials;
  /** A connection without a certificate of the authority ends in the handshake. */
  readonly strict: boolean;
  /** Longest handshake, ms. */
  readonly handshakeMs: number;
}

export class ServerTls extends ServerCredentials {
  readonly #credentials: Credentials;
  #version: number;

  /** Errors: REFUSED when the credentials hold no certificate. */
  constructor({ credentials, strict, handshakeMs }: ServerTlsOptions) {
    super(
      {
        requestCert: true,
        rejectUnauthorized: strict,
        handshakeTimeout: handshakeMs,
        minVersion: MIN_VERSION,
      },
      contextOptions(credentials),
    );
    if (credentials.current.own === null) {
      throw new MeridianError('REFUSED', 'a server needs a certificate and its key');
    }
    this.#credentials = credentials;
    this.#version = credentials.version;
  }

  /** To be called before a handshake. */
  refresh(): void {
    this.#credentials.refreshIfDue();
    if (this.#credentials.version === this.#version) return;
    this.#version = this.#credentials.version;
    this.updateSecureContextOptions(contextOptions(this.#credentials));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

export class ChannelTls extends ChannelCredentials {
  readonly #security: ChannelSecurity;
  #context: SecureContext | null = null;
  #version = 0;

  constructor(security: ChannelSecurity) {
    super();
    this.#security = security;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...[target, options, calls]: Parameters<ChannelCredentials['_createSecureConnector']>
  ): ReturnType<ChannelCredentials['_createSecureConnector']> {
    const make = (): ReturnType<ChannelCredentials['_createSecureConnector']> =>
      ChannelCredentials.createFromSecureContext(this.#newest(), {
        checkServerIdentity: (_host, { raw }) => this.#whyNot(raw),
      })._createSecureConnector(target, options, calls);
    const first = make();
    return {
      connect: (socket) => make().connect(socket),
      waitForReady: () => first.waitForReady(),
      getCallCredentials: () => first.getCallCredentials(),
      destroy: () => {
        first.destroy();
      },
    };
  }

  #newest(): SecureContext {
    const { credentials } = this.#security;
    const options = contextOptions(credentials);
    if (this.#context === null || this.#version !== credentials.version) {
      this.#context = createSecureContext(options);
      this.#version = credentials.version;
    }
    return this.#context;
  }

  #whyNot(certificate: Buffer): Error | undefined {
    try {
      const why = mismatch(identityOf(new X509Certificate(certificate)), this.#security.expected);
      return why === null ? undefined : new Error(`the server is another: ${why}`);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}

function contextOptions(credentials: Credentials): SecureContextOptions {
  const { ca, own } = credentials.current;
  return {
    ca,
    minVersion: MIN_VERSION,
    ...(own === null ? {} : { cert: own.certificate, key: own.key }),
  };
}
