/**
 * Tokens for clients without a certificate: who it is, what it may do, until when, under a secret that the
 * servers of a cluster share. Chained as macaroons are (Birgisson et al., NDSS 2014): a link narrows what
 * comes before it, and its signature is made with the signature before it as key. So whoever holds a
 * token can make one that may do less, without the secret, and nobody can make one that may do more.
 *
 *     meridian1.<link>.<link>….<signature>      each part in base64url, a link is JSON
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { MeridianError } from '../errors/errors.ts';
import { GRANTABLE, Rights } from './grants.ts';
import type { Operation } from './grants.ts';

/** What one link allows; what it does not mention stays as it was. */
export interface Scope {
  readonly operations?: readonly Operation[] | undefined;
  readonly streams?: readonly string[] | undefined;
  /** Milliseconds since 1970. */
  readonly expiresAt?: number | undefined;
}

export interface RootScope extends Required<Scope> {
  readonly cluster: string;
  /** The principal is `client/<name>`. */
  readonly name: string;
}

/** A token that is as it should be; whether it is still good depends on the time. */
export interface Token {
  readonly id: string;
  readonly cluster: string;
  readonly principal: string;
  readonly expiresAt: number;
  /** A right is needed in every link. */
  readonly links: readonly Rights[];
}

const VERSION = 'meridian1';
const CHARS_MAX = 4096;
const LINKS_MAX = 8;
export const SECRET_BYTES = 32;
/** A token that is good for longer belongs into a certificate. */
export const TOKEN_DAYS_MAX = 366;

/** Errors: INVALID. */
export function createToken(secret: Buffer, scope: RootScope): string {
  checkScope(scope);
  const { cluster, name } = scope;
  if (!/^[\w.-]{1,64}$/.test(name)) throw invalid('expected a name of 1 to 64 letters or digits');
  const link = encoded({ id: randomBytes(9).toString('base64url'), cluster, name, ...own(scope) });
  return [VERSION, link, signature(secret, link).toString('base64url')].join('.');
}

/** One that may do what `parent` may, and of that only what `scope` says. Errors: INVALID. */
export function narrowToken(parent: string, scope: Scope): string {
  checkScope(scope);
  const { links, mac } = partsOf(parent);
  if (links.length >= LINKS_MAX) throw invalid(`a token has at most ${LINKS_MAX} links`);
  const link = encoded(own(scope));
  return [VERSION, ...links, link, signature(mac, link).toString('base64url')].join('.');
}

/** Errors: UNAUTHENTICATED. */
export function verifyToken(secrets: readonly Buffer[], text: string): Token {
  const { links, mac } = partsOf(text);
  const isGood = secrets.some((secret) => {
    const expected = links.reduce<Buffer>((key, link) => signature(key, link), secret);
    return timingSafeEqual(expected, mac);
  });
  if (!isGood) throw unauthenticated('the token is not signed with the secret of this cluster');
  return tokenOf(links);
}

/** Without a look at the signature, for those who hold a token and not the secret. */
export function describeToken(text: string): Token & { readonly scopes: readonly Scope[] } {
  const { links } = partsOf(text);
  return { ...tokenOf(links), scopes: links.map((link) => scopeOf(decoded(link))) };
}

function tokenOf(links: readonly string[]): Token {
  const [first = {}, ...rest] = links.map(decoded);
  const scopes = [first, ...rest].map(scopeOf);
  const { id, cluster, name } = first;
  if (typeof id !== 'string' || typeof cluster !== 'string' || typeof name !== 'string') {
    throw unauthenticated('the token says not whose it is');
  }
  const [root = {}] = scopes;
  if (root.operations === undefined || root.streams === undefined || root.expiresAt === undefined) {
    throw unauthenticated('the token says not what it is good for');
  }
  const { operations: all, streams: everywhere } = root;
  return {
    id,
    cluster,
    principal: `client/${name}`,
    expiresAt: Math.min(...scopes.map(({ expiresAt }) => expiresAt ?? Infinity)),
    links: scopes.map(({ operations, streams }, at) => {
      // A link that is silent about one of the two allows of it what all before allowed.
      const unsaid = at === 0 ? everywhere : ['*'];
      return new Rights([
        { principal: '', operations: operations ?? all, streams: streams ?? unsaid },
      ]);
    }),
  };
}

type Link = Readonly<Record<string, unknown>>;

function scopeOf(link: Link): Scope {
  const list = (key: string): readonly string[] | undefined => {
    const value = link[key];
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
    throw unauthenticated(`the token's ${key} are no list of texts`);
  };
  const expiresAt = link['expiresAt'];
  if (expiresAt !== undefined && typeof expiresAt !== 'number') {
    throw unauthenticated("the token's end is no time");
  }
  return {
    operations: list('operations') as readonly Operation[] | undefined,
    streams: list('streams'),
    expiresAt,
  };
}

function checkScope({ operations, streams, expiresAt }: Scope): void {
  const unknown = operations?.find((each) => each === 'peer' || !GRANTABLE.includes(each));
  if (unknown !== undefined || operations?.length === 0) {
    throw invalid(`expected operations of ${GRANTABLE.join(', ')}, found ${unknown ?? 'none'}`);
  }
  if (streams?.length === 0 || streams?.includes('') === true) {
    throw invalid('expected streams: names, or prefixes that end in *');
  }
  if (expiresAt !== undefined && !(expiresAt > Date.now())) throw invalid('it would have expired');
  const longest = TOKEN_DAYS_MAX * 86_400_000;
  if (expiresAt !== undefined && expiresAt - Date.now() > longest) {
    throw invalid(`a token is good for ${TOKEN_DAYS_MAX} days at most`);
  }
}

function own({ operations, streams, expiresAt }: Scope): Link {
  return {
    ...(operations === undefined ? {} : { operations }),
    ...(streams === undefined ? {} : { streams }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

function partsOf(text: string): { readonly links: readonly string[]; readonly mac: Buffer } {
  const [version, ...rest] = text.slice(0, CHARS_MAX + 1).split('.');
  const links = rest.slice(0, -1);
  const mac = Buffer.from(rest.at(-1) ?? '', 'base64url');
  if (text.length > CHARS_MAX || version !== VERSION || links.length > LINKS_MAX) {
    throw unauthenticated('this is no token of Meridian');
  }
  if (links.length === 0 || mac.length !== 32) throw unauthenticated('the token is cut short');
  return { links, mac };
}

function encoded(link: Link): string {
  return Buffer.from(JSON.stringify(link), 'utf8').toString('base64url');
}

function decoded(link: string): Link {
  try {
    const value: unknown = JSON.parse(Buffer.from(link, 'base64url').toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Link;
  } catch {
    // Below.
  }
  throw unauthenticated('the token cannot be read');
}

function signature(key: Buffer, link: string): Buffer {
  return createHmac('sha256', key).update(link).digest();
}

function invalid(message: string): MeridianError {
  return new MeridianError('INVALID', message);
}

function unauthenticated(message: string): MeridianError {
  return new MeridianError('UNAUTHENTICATED', message);
}
