/**
 * Where an HTTP request is let in: the one place that asks. Routes name the gRPC method that a request
 * stands for, so who may do what is decided by one set of rules for both ways in, and asked before the
 * body is read. The rules are not here; null as gate lets everybody in.
 */

/** What is known of a connection. Without TLS nobody shows a certificate. */
export interface HttpConnection {
  readonly address: string;
  /** Whom its certificate names; null: nobody. Only the gate knows what is in it. */
  readonly identity: object | null;
  /** Why its certificate counts for nothing; null when it does, or there is none. */
  readonly refusal: string | null;
}

/** Who makes a request, as far as the gate lets it. */
export interface HttpCaller {
  /** Throws PERMISSION_DENIED. `request`: a message of `method`, from which the streams are read. */
  checkRequest(method: string, request: object): void;
  /** Throws PERMISSION_DENIED unless it may append to the stream. */
  checkAppend(stream: string): void;
  /** Takes from what it may send; how long to wait before it is carried out, ms. */
  charge(bytes: number): number;
}

export interface HttpGate {
  /** Throws UNAUTHENTICATED, PERMISSION_DENIED or OVERLOADED. `method`: `/package.Service/Method`. */
  admit(
    method: string,
    connection: HttpConnection,
    token: string | null,
    first: boolean,
  ): HttpCaller;
}

/** Without rules everybody may everything. */
export const ANYBODY: HttpCaller = {
  checkRequest: () => undefined,
  checkAppend: () => undefined,
  charge: () => 0,
};

/** `authorization: Bearer …`; the empty text for anything else that is said there. */
export function bearerToken(authorization: string | undefined): string | null {
  if (authorization === undefined) return null;
  return /^Bearer (\S+)$/i.exec(authorization)?.[1] ?? '';
}
