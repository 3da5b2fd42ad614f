/**
 * The connections of one server: how many there may be, in all and from one address; that each finishes
 * its handshake and says something in time; that it does not open and cancel calls without end; and
 * whom its certificate names. What breaks a bound is closed and counted, and told to `onRefused`.
 *
 * grpc-js has no place for this, so it is hooked into the server that grpc-js makes (a private function,
 * as in window.ts). Here a hook that no longer fits refuses to start: bounds must not vanish silently.
 */
import http2 from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Server } from '@grpc/grpc-js';
import { MeridianError } from '../errors/errors.ts';
import type { Expected } from '../security/identity.ts';
import { judge } from '../security/listener-tls.ts';
import { TokenBucket } from '../security/token-bucket.ts';
import type { ConnectionFacts } from './gate.ts';
import type { ServerLimits } from './settings.ts';
import type { ServerTls } from './tls.ts';

/** Why a call is refused by its headers alone; a client cannot set it. */
export const REFUSED_HEADERS = 'meridian-refused';

/** Why a connection was refused or cut off. */
export const REFUSALS = ['total', 'address', 'handshake', 'certificate', 'resets'] as const;
export type Refusal = (typeof REFUSALS)[number];

export interface ConnectionFigures {
  open: number;
  readonly refused: Record<Refusal, number>;
}

export interface ConnectionsOptions {
  readonly limits: ServerLimits;
  readonly tls: ServerTls | null;
  /** What a certificate must name to count. */
  readonly expected: Expected | null;
  readonly onRefused: (why: Refusal, address: string, detail: string) => void;
}

interface Connection {
  readonly socket: Socket;
  facts: ConnectionFacts;
  /** Ends it when it has not got anywhere. */
  timer: NodeJS.Timeout | null;
}

const TIMER_MS_MAX = 2 ** 31 - 1;
/** Cancelled calls may come in a burst of this many seconds' worth. */
const RESET_BURST_SECONDS = 10;

interface Internals {
  commonServerOptions?: { settings?: http2.Settings };
  createHttp2Server?: (credentials: unknown) => Listener;
}

type Listener = http2.Http2SecureServer & { emit: (name: string, ...rest: unknown[]) => boolean };

export class Connections {
  readonly #options: ConnectionsOptions;
  /** By the address and port of the other side. */
  readonly #open = new Map<string, Connection>();
  readonly #perAddress = new Map<string, number>();
  readonly figures: ConnectionFigures = {
    open: 0,
    refused: { total: 0, address: 0, handshake: 0, certificate: 0, resets: 0 },
  };

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** Must run before the server is bound. */
  watch(server: Server): void {
    const internals = server as unknown as Internals;
    const create = internals.createHttp2Server;
    if (typeof create !== 'function' || typeof internals.commonServerOptions !== 'object') {
      throw new MeridianError(
        'REFUSED',
        'the limits of connections cannot be kept with this version of @grpc/grpc-js',
      );
    }
    const settings = internals.commonServerOptions.settings;
    const { metadataBytesMax } = this.#options.limits;
    internals.commonServerOptions.settings = { ...settings, maxHeaderListSize: metadataBytesMax };
    internals.createHttp2Server = (credentials) => {
      const listener = create.call(server, credentials);
      this.#hook(listener);
      return listener;
    };
  }

  /** Facts about the connection of a call; one that is gone has no rights. */
  of(peer: string): ConnectionFacts {
    return (
      this.#open.get(peer)?.facts ?? {
        address: peer,
        identity: null,
        refusal: 'the connection is gone',
      }
    );
  }

  #hook(listener: Listener): void {
    const emit = listener.emit.bind(listener);
    // A refused socket must reach nobody: what follows would work on a closed one.
    listener.emit = (name: string, ...rest: unknown[]): boolean =>
      name === 'connection' && !this.#take(rest[0] as Socket) ? true : emit(name, ...rest);
    listener.prependListener('secureConnection', (socket: TLSSocket) => {
      this.#identify(socket);
    });
    listener.on('session', (session: http2.ServerHttp2Session) => {
      this.#begin(session);
    });
    listener.prependListener(
      'stream',
      (_stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
        const why = refusalOf(headers, this.#options.limits.metadataBytesMax);
        // Overwritten or removed: what a client sends under this name must not count.
        if (why === null) Reflect.deleteProperty(headers, REFUSED_HEADERS);
        else headers[REFUSED_HEADERS] = why;
      },
    );
  }

  #take(socket: Socket): boolean {
    const { limits, tls } = this.#options;
    const address = socket.remoteAddress ?? '';
    const fromThere = this.#perAddress.get(address) ?? 0;
    const refusal =
      this.figures.open >= limits.connectionsMax
        ? 'total'
        : fromThere >= limits.connectionsPerAddressMax
          ? 'address'
          : null;
    if (refusal !== null) {
      this.#refuse(refusal, address, 'too many connections');
      socket.destroy();
      return false;
    }
    tls?.refresh();
    const key = keyOf(socket);
    const facts = { address: key, identity: null, refusal: null };
    const connection: Connection = { socket, facts, timer: null };
    this.#endAfter(connection, limits.handshakeMs, 'handshake', 'no HTTP/2 in time');
    this.#open.set(key, connection);
    this.#perAddress.set(address, fromThere + 1);
    this.figures.open += 1;
    socket.once('close', () => {
      this.#forget(key, address, connection);
    });
    return true;
  }

  #forget(key: string, address: string, connection: Connection): void {
    if (connection.timer !== null) clearTimeout(connection.timer);
    if (this.#open.get(key) === connection) this.#open.delete(key);
    this.figures.open -= 1;
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left > 0) this.#perAddress.set(address, left);
    else this.#perAddress.delete(address);
  }

  #identify(socket: TLSSocket): void {
    const connection = this.#open.get(keyOf(socket));
    const certificate = socket.getPeerX509Certificate();
    if (connection === undefined || certificate === undefined) return;
    const { address } = connection.facts;
    connection.facts = { address, ...judge(socket, this.#options.expected) };
    if (connection.facts.identity !== null) {
      this.#endAt(connection, Date.parse(certificate.validTo));
    }
  }

  #begin(session: http2.ServerHttp2Session): void {
    const connection = this.#open.get(keyOf(session.socket));
    if (connection === undefined) {
      session.destroy();
      return;
    }
    const { refusal, address } = connection.facts;
    const { handshakeMs, resetsPerSecondMax } = this.#options.limits;
    if (refusal === null) {
      session.once('remoteSettings', () => {
        if (connection.timer !== null) clearTimeout(connection.timer);
        connection.timer = null;
      });
    } else {
      // Its calls are refused with the reason; it does not stay longer than it takes to read that.
      this.#refuse('certificate', address, refusal);
      this.#endAfter(connection, handshakeMs, null, refusal);
    }
    const resets = new TokenBucket(resetsPerSecondMax, resetsPerSecondMax * RESET_BURST_SECONDS);
    session.on('stream', (stream) => {
      stream.once('close', () => {
        if (stream.rstCode === http2.constants.NGHTTP2_NO_ERROR) return;
        if (resets.take(1, performance.now()) === 0 || session.destroyed) return;
        this.#refuse('resets', address, 'calls are opened and cancelled too fast');
        // `destroy` would say NO_ERROR, whatever code it is given, and that everything is well.
        session.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
        session.destroy();
        // It waits for its last words to be read, which this one may never do.
        this.#endAfter(connection, handshakeMs, null, 'cut off');
      });
    });
  }

  #endAfter(connection: Connection, ms: number, why: Refusal | null, detail: string): void {
    if (connection.timer !== null) clearTimeout(connection.timer);
    connection.timer = setTimeout(() => {
      if (why !== null) this.#refuse(why, connection.facts.address, detail);
      connection.socket.destroy();
    }, ms);
    connection.timer.unref();
  }

  /** Nobody outlives the certificate that let it in. */
  #endAt(connection: Connection, expiresAt: number): void {
    const { socket, facts } = connection;
    const timer = setTimeout(
      () => {
        if (Date.now() < expiresAt) this.#endAt(connection, expiresAt);
        else {
          this.#refuse('certificate', facts.address, 'the certificate has expired meanwhile');
          socket.destroy();
        }
      },
      Math.min(expiresAt - Date.now(), TIMER_MS_MAX),
    );
    timer.unref();
    socket.once('close', () => {
      clearTimeout(timer);
    });
  }

  #refuse(why: Refusal, address: string, detail: string): void {
    this.figures.refused[why] += 1;
    this.#options.onRefused(why, address, detail);
  }
}

/** Node takes 64 KiB of headers, whatever the settings of HTTP/2 say. */
function refusalOf(headers: http2.IncomingHttpHeaders, bytesMax: number): string | null {
  const encoding = headers['grpc-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    return 'requests are taken as they are, not compressed (grpc-encoding)';
  }
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    bytes += name.length + (Array.isArray(value) ? value.join() : (value ?? '')).length;
  }
  return bytes <= bytesMax ? null : `metadata of ${bytes} bytes; ${bytesMax} are allowed`;
}

/** As grpc-js names the other side of a call. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ''}:${String(remotePort ?? '')}`;
}
