/** How a program that only calls shows who it is, and knows whom it talks to. */
import { Credentials } from './credentials.ts';
import type { CredentialFiles } from './credentials.ts';
import type { Expected } from './identity.ts';

export interface ClientSecurity {
  /** Files of authorities, certificate and key; or what was read from them. */
  readonly tls: CredentialFiles | Credentials;
  /** For a client without a certificate; asked for at every call, so it may be renewed. */
  readonly token?: (() => string) | undefined;
}

interface Channels {
  readonly credentials: Credentials;
  readonly token: (() => string) | undefined;
  readonly expected: Expected;
}

/** undefined: calls go in the clear. Errors: REFUSED when a file cannot be used. */
export function openClientSecurity(
  security: ClientSecurity | undefined,
): ((expected: Expected) => Channels) | null {
  if (security === undefined) return null;
  const { tls, token } = security;
  const credentials = tls instanceof Credentials ? tls : new Credentials(tls);
  return (expected) => ({ credentials, token, expected });
}
