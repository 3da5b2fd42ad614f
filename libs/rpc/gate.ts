/**
 * Where calls are let in: an interceptor that stands before every method of a server, health and
 * reflection included, and judges a call by its name, its connection and its token, before a byte of
 * its message is read. What it may do to which stream is asked again of the `Caller` by whoever has read
 * the message. Compressed requests are refused here, so that nothing is ever inflated.
 *
 * Only asks: the rules are libs/security's.
 */
import { ServerInterceptingCall, ServerListenerBuilder, ResponderBuilder } from '@grpc/grpc-js';
import type { Metadata, ServerInterceptor } from '@grpc/grpc-js';
import { MeridianError } from '../errors/errors.ts';
import type { Identity } from '../security/identity.ts';
import type { Connections } from './connections.ts';
import { REFUSED_HEADERS } from './connections.ts';
import { toStatus } from './status.ts';

/** What is known of a connection once it stands. */
export interface ConnectionFacts {
  /** For logs. */
  readonly address: string;
  /** null: it shows no certificate. */
  readonly identity: Identity | null;
  /** Why its certificate counts for nothing; null when it does, or there is none. */
  readonly refusal: string | null;
}

/** Who makes a call, as far as the gate lets it. */
export interface Caller {
  /** `client/orders`, for logs. */
  readonly principal: string;
  readonly identity: Identity | null;
  /** Throws PERMISSION_DENIED. `request`: a message of `method`, from which the streams are read. */
  checkRequest(method: string, request: object): void;
  /** Throws PERMISSION_DENIED unless it may append to the stream. */
  checkAppend(stream: string): void;
  /** Takes from what it may send; how long to wait before the next, ms. */
  charge(bytes: number): number;
}

export interface Gate {
  /**
   * Throws UNAUTHENTICATED, PERMISSION_DENIED or OVERLOADED. `first`: the call is new; the same call asks
   * again when its message is there, and pays once.
   */
  admit(method: string, connection: ConnectionFacts, token: string | null, first: boolean): Caller;
}

export function interceptorOf(gate: Gate | null, connections: Connections): ServerInterceptor {
  return (method, call) => {
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        try {
          const [refused] = metadata.get(REFUSED_HEADERS);
          if (refused !== undefined) throw new MeridianError('INVALID', String(refused));
          gate?.admit(method.path, connections.of(call.getPeer()), tokenOf(metadata), true);
        } catch (error) {
          if (!(error instanceof MeridianError)) throw error;
          call.sendStatus(toStatus(error));
          return;
        }
        next(metadata);
      })
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => {
        next(listener);
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}

/** `authorization: Bearer …` */
export function tokenOf(metadata: Metadata): string | null {
  const [value] = metadata.get('authorization');
  if (value === undefined) return null;
  return /^Bearer (\S+)$/i.exec(String(value))?.[1] ?? '';
}
