/**
 * Settings of security that every service has: certificates, who may do what, bounds of connections. And
 * the one rule over them: a service listens beyond loopback with certificates, or is told in so many
 * words that everybody on its network is trusted.
 *
 * Files are only named here: whether they can be used is seen at the start, so a configuration can be
 * checked on a machine that has no certificates.
 */
import { z } from 'zod';
import { GRANTABLE, GRANTEES, isGrantee } from '../security/grants.ts';
import type { Operation } from '../security/grants.ts';

const path = z.string().min(1);
const MINUTE_MS = 60_000;

/** Sources of `tls`, for processes that only call. */
export const tlsSettings = z.strictObject({
  certificate: path
    .optional()
    .describe('PEM file: own certificate first, then up to the authority'),
  key: path.optional().describe('PEM file of its key, mode 0600'),
  ca: path.optional().describe('PEM file of the authorities that are trusted, one or several'),
  plaintextBeyondLoopback: z
    .boolean()
    .default(false)
    .describe(
      'DANGEROUS: without certificates, listen beyond loopback all the same; whoever reaches the port may do everything',
    ),
});

const grant = z.strictObject({
  principal: z
    .string()
    .refine(isGrantee, `expected a role or role/name; roles: ${GRANTEES.join(', ')}`),
  operations: z.array(z.enum(GRANTABLE as [Operation, ...Operation[]])).min(1),
  streams: z
    .array(z.string().min(1).max(255))
    .min(1)
    .refine(
      (streams) => streams.every((stream) => !stream.slice(0, -1).includes('*')),
      'expected names, or prefixes that end in *',
    ),
});

export const accessSettings = z.strictObject({
  grants: z
    .array(grant)
    .default([])
    .describe(
      'who may do what: principal, operations, streams (names or prefix*); else nobody may',
    ),
  tokenSecretFile: path
    .optional()
    .describe('file of the secrets of tokens, one a line, mode 0600; without it no token counts'),
  revokedTokens: z.array(z.string()).default([]).describe('ids of tokens that count no more'),
  operationsPerSecondMax: z
    .number()
    .min(0)
    .default(0)
    .describe('calls of one principal; 0 for any number'),
  bytesPerSecondMax: z
    .number()
    .min(0)
    .default(0)
    .describe('bytes of appends of one principal; 0 for any number'),
});

const count = (defaultCount: number): z.ZodDefault<z.ZodNumber> =>
  z.number().int().min(1).max(1_000_000).default(defaultCount);

export const connectionSettings = z.strictObject({
  connectionsMax: count(4096).describe(
    'connections at once on a port; more are closed as they come',
  ),
  connectionsPerAddressMax: count(1024).describe('connections at once from one address'),
  callsPerConnectionMax: count(256).describe('calls open at once on one connection; more wait'),
  connectionMemoryMiB: count(256).describe('memory of one connection for what waits to be sent'),
  handshakeMs: z
    .number()
    .min(100)
    .max(MINUTE_MS)
    .default(5_000)
    .describe('longest time from connecting to the first frame of HTTP/2'),
  idleMs: z
    .number()
    .min(1_000)
    .max(1440 * MINUTE_MS)
    .default(5 * MINUTE_MS)
    .describe('a connection without calls is closed after this'),
  metadataBytesMax: z
    .number()
    .int()
    .min(4096)
    .max(65_535)
    .default(16 * 1024)
    .describe("names and values of one call's metadata"),
  resetsPerSecondMax: count(100).describe(
    'calls that one connection may cancel, ten seconds of it at once',
  ),
});

/** To be spread into the schema of a service. */
export const securitySettings = {
  metricsTls: z
    .boolean()
    .default(false)
    .describe(
      'metricsListen with tls.certificate; /metrics beyond this machine is then for certificates of the cluster, and else for nobody',
    ),
  tls: tlsSettings.prefault({}),
  access: accessSettings.prefault({}),
  connections: connectionSettings.prefault({}),
};

export type TlsSettings = z.output<typeof tlsSettings>;
export type AccessSettings = z.output<typeof accessSettings>;

type Complain = (path: (string | number)[], message: string) => void;

/** `listens`: setting → address of each port on which calls are taken. */
export function checkSecurity(
  {
    tls,
    access,
    metricsTls,
  }: {
    readonly tls: TlsSettings;
    readonly access: AccessSettings;
    readonly metricsTls: boolean;
  },
  listens: Readonly<Record<string, string>>,
  complain: Complain,
): void {
  const given = (['certificate', 'key', 'ca'] as const).filter((key) => tls[key] !== undefined);
  if (given.length > 0) {
    for (const key of ['certificate', 'key', 'ca'] as const) {
      if (tls[key] === undefined)
        complain(['tls', key], `expected with tls.${given.join(', tls.')}`);
    }
    if (tls.plaintextBeyondLoopback) {
      complain(['tls', 'plaintextBeyondLoopback'], 'expected only without certificates');
    }
    return;
  }
  if (metricsTls) complain(['metricsTls'], 'expected with tls.certificate');
  for (const key of ['grants', 'tokenSecretFile'] as const) {
    if (access[key] === undefined || access[key].length === 0) continue;
    const message = 'expected with tls.certificate: without, nobody is asked who they are';
    complain(['access', key], message);
  }
  if (tls.plaintextBeyondLoopback) return;
  for (const [setting, address] of Object.entries(listens)) {
    if (isLoopback(address)) continue;
    complain(
      [setting],
      'expected a loopback address, or certificates (tls.certificate, tls.key, tls.ca): beyond ' +
        'loopback nothing is served in the clear (`meridian certs` makes certificates)',
    );
  }
}

/** Of `host:port`. A name other than `localhost` may mean anything. */
export function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
