/**
 * What may be done, and by whom. Operations are groups of calls; a grant gives some of them on some
 * streams to a principal or to a role. Nothing is allowed that no grant allows.
 *
 * Grants come from the configuration file, which every replica reads for itself: they are never part of
 * what is replicated, so no order of events can make two replicas disagree about them.
 */
import { ROLES, isRole } from './identity.ts';
import type { Role } from './identity.ts';

export const OPERATIONS = [
  /** Append records, and ask what became of an append. */
  'append',
  /** Fencing tokens and leases: decides who may append. */
  'fence',
  /** Records, and descriptions of streams. */
  'read',
  /** Read points and tails, without records. */
  'tail',
  /** Give up old records. */
  'trim',
  /** Create, configure and delete streams. */
  'streams',
  /** How a process is. */
  'status',
  /** Which database of a stream is the one that is written. */
  'promote',
  /** What replicas say to each other; never granted, it comes with a replica's certificate. */
  'peer',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Those that a grant or token may name. */
export const GRANTABLE = OPERATIONS.filter((operation) => operation !== 'peer');

export interface Grant {
  /** `client/orders` for one, `client` for all of a role. */
  readonly principal: string;
  readonly operations: readonly Operation[];
  /** Names, or prefixes that end in `*`; `*` for all, and for what concerns no single stream. */
  readonly streams: readonly string[];
}

const BUILT_IN: readonly Grant[] = [
  { principal: 'replica', operations: ['peer'], streams: ['*'] },
  { principal: 'crossbar', operations: ['read', 'tail', 'status'], streams: ['*'] },
  {
    principal: 'admin',
    operations: ['append', 'fence', 'read', 'tail', 'trim', 'streams', 'status', 'promote'],
    streams: ['*', '_meridian.*'],
  },
];

/** Streams that say something about the instance itself: nobody writes them by a pattern that does not name them. */
const RESERVED = '_meridian.';
const WRITING: ReadonlySet<Operation> = new Set(['append', 'fence', 'trim', 'streams']);

/** Rights of a principal: for each operation the patterns of streams. */
export class Rights {
  readonly #patterns: ReadonlyMap<Operation, readonly string[]>;

  constructor(grants: readonly Grant[]) {
    const patterns = new Map<Operation, string[]>();
    for (const { operations, streams } of grants) {
      for (const operation of operations) {
        patterns.set(operation, [...(patterns.get(operation) ?? []), ...streams]);
      }
    }
    this.#patterns = patterns;
  }

  /** On some stream at least. */
  has(operation: Operation): boolean {
    return this.#patterns.has(operation);
  }

  /** null: on everything. */
  covers(operation: Operation, stream: string | null): boolean {
    const reserved = stream?.startsWith(RESERVED) === true && WRITING.has(operation);
    return this.#some(operation, (pattern) => {
      if (stream === null) return pattern === '*';
      return (!reserved || pattern.startsWith(RESERVED)) && matches(pattern, stream);
    });
  }

  /** On every stream that begins so. */
  coversPrefix(operation: Operation, prefix: string): boolean {
    return this.#some(
      operation,
      (pattern) => pattern.endsWith('*') && prefix.startsWith(pattern.slice(0, -1)),
    );
  }

  #some(operation: Operation, test: (pattern: string) => boolean): boolean {
    return this.#patterns.get(operation)?.some(test) ?? false;
  }
}

export function rightsOf(principal: string, grants: readonly Grant[]): Rights {
  const [role = ''] = principal.split('/');
  return new Rights(
    [...BUILT_IN, ...grants].filter(
      ({ principal: named }) => named === principal || named === role,
    ),
  );
}

/** `client`, `client/orders`; replicas are not given anything. */
export function isGrantee(text: string): boolean {
  const [role = '', name, ...more] = text.split('/');
  if (!isRole(role) || role === 'replica' || more.length > 0) return false;
  return name === undefined || /^[\w.-]{1,64}$/.test(name);
}

export const GRANTEES: readonly Role[] = ROLES.filter((role) => role !== 'replica');

function matches(pattern: string, stream: string): boolean {
  return pattern.endsWith('*') ? stream.startsWith(pattern.slice(0, -1)) : pattern === stream;
}
