/**
 * The gate of a server (libs/rpc/gate.ts): who calls, by certificate or token; what that one may do, by
 * grants or by the token; how much of it, by its rate. Every refusal is counted and told to `onDenied`,
 * which is the audit; the same refusal of the same principal at most once a second.
 */
import { MeridianError } from '../errors/errors.ts';
import { rightsOf } from './grants.ts';
import type { Grant, Operation, Rights } from './grants.ts';
import type { Identity } from './identity.ts';
import { RULES, streamsOf } from './rules.ts';
import type { Rule } from './rules.ts';
import { TokenBucket } from './token-bucket.ts';
import { verifyToken } from './tokens.ts';
import type { Token } from './tokens.ts';

export interface AccessOptions {
  readonly cluster: string;
  readonly grants: readonly Grant[];
  /** Of tokens; none: tokens are refused. The first that fits counts, so one is changed by adding one. */
  readonly secrets: readonly Buffer[];
  /** Ids of tokens that count no more. */
  readonly revoked: readonly string[];
  /** Per principal; 0: without limit. */
  readonly operationsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly onDenied: (denial: Denial) => void;
}

export interface Denial {
  readonly reason: 'UNAUTHENTICATED' | 'PERMISSION_DENIED';
  readonly principal: string;
  readonly address: string;
  readonly method: string;
  readonly message: string;
}

interface Connection {
  readonly address: string;
  readonly identity: Identity | null;
  readonly refusal: string | null;
}

export interface AccessFigures {
  unauthenticated: number;
  permissionDenied: number;
  rateLimited: number;
}

/** Principals whose rights and rates are remembered; a name beyond starts anew, with full buckets. */
const PRINCIPALS_MAX = 10_000;
const TOKENS_MAX = 10_000;
const REPEAT_MS = 1_000;
/** The bursts of the rates, in seconds of them. */
const BURST_SECONDS = 1;

interface Principal {
  readonly rights: Rights;
  readonly operations: TokenBucket;
  readonly bytes: TokenBucket;
  toldAt: number;
}

export class Access {
  readonly #options: AccessOptions;
  readonly #principals = new Map<string, Principal>();
  readonly #tokens = new Map<string, Token>();
  readonly figures: AccessFigures = { unauthenticated: 0, permissionDenied: 0, rateLimited: 0 };

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  admit(method: string, connection: Connection, token: string | null, first: boolean): Caller {
    const rule = RULES[method];
    const who = this.#who(method, connection, token, rule);
    const principal = this.#principal(who.principal);
    const caller = new Caller(this, {
      ...who,
      method,
      address: connection.address,
      known: principal,
    });
    if (rule === undefined) throw caller.denied(method, `there is no rule for ${method}`);
    const { operation } = rule;
    if (operation === 'open') return caller;
    if (operation !== 'any' && !caller.has(operation)) {
      throw caller.denied(method, `${who.principal} may not ${operation}`);
    }
    if (!first || rule.reserved === true) return caller;
    const waitMs = principal.operations.tryTake(1, performance.now());
    if (waitMs === 0) return caller;
    this.figures.rateLimited += 1;
    throw new MeridianError(
      'OVERLOADED',
      `${who.principal} makes more than ${this.#options.operationsPerSecond} calls a second`,
      { details: { retryAfterMs: Math.ceil(waitMs), limit: this.#options.operationsPerSecond } },
    );
  }

  count(denial: Denial): void {
    if (denial.reason === 'UNAUTHENTICATED') this.figures.unauthenticated += 1;
    else this.figures.permissionDenied += 1;
    const principal = this.#principal(denial.principal);
    const now = performance.now();
    if (now - principal.toldAt < REPEAT_MS) return;
    principal.toldAt = now;
    this.#options.onDenied(denial);
  }

  countRateLimited(): void {
    this.figures.rateLimited += 1;
  }

  #who(
    method: string,
    { address, identity, refusal }: Connection,
    token: string | null,
    rule: Rule | undefined,
  ): { principal: string; identity: Identity | null; token: Token | null } {
    const nobody = { principal: 'nobody', identity: null, token: null };
    const fail = (message: string): never => {
      this.count({ reason: 'UNAUTHENTICATED', principal: 'nobody', address, method, message });
      throw new MeridianError('UNAUTHENTICATED', message);
    };
    if (rule?.operation === 'open') return nobody;
    if (refusal !== null) return fail(refusal);
    if (token !== null) {
      try {
        const known = this.#token(token);
        return { principal: known.principal, identity: null, token: known };
      } catch (error) {
        if (!(error instanceof MeridianError)) throw error;
        return fail(error.message);
      }
    }
    if (identity === null) {
      return fail('who calls? Show a certificate (tls.certificate, tls.key) or a token');
    }
    return { principal: identity.principal, identity, token: null };
  }

  /** Errors: UNAUTHENTICATED. */
  #token(text: string): Token {
    const { secrets, cluster, revoked } = this.#options;
    let token = this.#tokens.get(text);
    if (token === undefined) {
      if (secrets.length === 0) throw unauthenticated('this server takes no tokens');
      token = verifyToken(secrets, text);
      if (token.cluster !== cluster) {
        throw unauthenticated(`the token is for cluster ${token.cluster}, this is ${cluster}`);
      }
      remember(this.#tokens, text, token, TOKENS_MAX);
    }
    if (revoked.includes(token.id)) throw unauthenticated(`token ${token.id} has been revoked`);
    if (token.expiresAt <= Date.now()) {
      throw unauthenticated(`the token has expired at ${new Date(token.expiresAt).toISOString()}`);
    }
    return token;
  }

  #principal(name: string): Principal {
    const known = this.#principals.get(name);
    if (known !== undefined) return known;
    const { grants, operationsPerSecond, bytesPerSecond } = this.#options;
    const principal = {
      rights: rightsOf(name, grants),
      operations: new TokenBucket(operationsPerSecond, operationsPerSecond * BURST_SECONDS),
      bytes: new TokenBucket(bytesPerSecond, bytesPerSecond * BURST_SECONDS),
      toldAt: -Infinity,
    };
    remember(this.#principals, name, principal, PRINCIPALS_MAX);
    return principal;
  }
}

interface CallerFacts {
  readonly principal: string;
  readonly identity: Identity | null;
  readonly token: Token | null;
  readonly method: string;
  readonly address: string;
  readonly known: Principal;
}

/** See `Caller` in libs/rpc/gate.ts. A token's own scope counts, and the grants do not. */
class Caller {
  readonly #access: Access;
  readonly #facts: CallerFacts;
  readonly #rights: readonly Rights[];
  #appendsTo = new Set<string>();

  constructor(access: Access, facts: CallerFacts) {
    this.#access = access;
    this.#facts = facts;
    this.#rights = facts.token === null ? [facts.known.rights] : facts.token.links;
  }

  get principal(): string {
    return this.#facts.principal;
  }

  get identity(): Identity | null {
    return this.#facts.identity;
  }

  has(operation: Operation): boolean {
    return this.#rights.every((rights) => rights.has(operation));
  }

  checkRequest(method: string, request: object): void {
    const rule = RULES[method];
    if (rule === undefined) throw this.denied(method, `there is no rule for ${method}`);
    const { operation, scope } = rule;
    if (operation === 'open' || operation === 'any') return;
    for (const stream of streamsOf(rule, request)) this.#check(method, operation, stream);
    if (scope !== 'prefix') return;
    const { prefix } = request as { readonly prefix: string };
    if (this.#rights.every((rights) => rights.coversPrefix(operation, prefix))) return;
    throw this.denied(
      method,
      `${this.principal} may not ${operation} all streams that begin with ${JSON.stringify(prefix)}`,
    );
  }

  checkAppend(stream: string): void {
    if (this.#appendsTo.has(stream)) {
      if (!this.#isOver()) return;
      throw new MeridianError('UNAUTHENTICATED', 'the token has expired');
    }
    this.#check(this.#facts.method, 'append', stream);
    if (this.#appendsTo.size >= STREAMS_REMEMBERED) this.#appendsTo.clear();
    this.#appendsTo.add(stream);
  }

  charge(bytes: number): number {
    const waitMs = this.#facts.known.bytes.take(bytes, performance.now());
    if (waitMs > 0) this.#access.countRateLimited();
    return waitMs;
  }

  denied(method: string, message: string): MeridianError {
    const { principal, address } = this.#facts;
    this.#access.count({ reason: 'PERMISSION_DENIED', principal, address, method, message });
    return new MeridianError('PERMISSION_DENIED', message, { details: { principal } });
  }

  #isOver(): boolean {
    return (this.#facts.token?.expiresAt ?? Infinity) <= Date.now();
  }

  #check(method: string, operation: Operation, stream: string | null): void {
    if (this.#rights.every((rights) => rights.covers(operation, stream))) return;
    const what = stream === null ? 'all streams' : `stream ${JSON.stringify(stream)}`;
    throw this.denied(method, `${this.principal} may not ${operation} ${what}`);
  }
}

const STREAMS_REMEMBERED = 10_000;

function remember<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  // The oldest goes: a Map keeps the order in which keys came.
  if (map.size >= most) map.delete(map.keys().next().value ?? '');
  map.set(key, value);
}

function unauthenticated(message: string): MeridianError {
  return new MeridianError('UNAUTHENTICATED', message);
}
