/**
 * Which journal is meant and where its replicas are: options over a context named by option over the
 * environment over the context that the environment or the configuration file names. Only finds
 * addresses; connects to nothing. The file is looked into only when something is still missing.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { JournalOptions, ReplicaAddress } from '../../libs/client/types.ts';
import { readSecretFile } from '../../libs/files/given-files.ts';
import { UsageError } from './arguments.ts';
import type { Values } from './arguments.ts';
import type { Context } from './contexts.ts';
import type { CommandSpec } from './spec.ts';
import { didYouMean } from './suggest.ts';
import { parseDuration } from './units.ts';

export const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[^\s:,=]+):\d{1,5}$/;

type Environment = Readonly<Record<string, string | undefined>>;

/** What one source says; each may say only part. */
interface Said {
  readonly cluster?: string | undefined;
  readonly instance?: string | undefined;
  readonly region?: string | undefined;
  readonly replicas?: readonly ReplicaAddress[] | undefined;
  readonly deadlineMs?: number | undefined;
  readonly tlsCa?: string | undefined;
  readonly tlsCertificate?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** The token itself, or read anew for every call. */
  readonly token?: (() => string) | undefined;
}

const MISSING = `which journal? Say it in one of three ways:
  options      --cluster NAME --instance NAME --replicas REGION=HOST:PORT,REGION=HOST:PORT,…
  environment  MERIDIAN_CLUSTER, MERIDIAN_INSTANCE, MERIDIAN_REPLICAS
  a file       ~/.config/meridian/config.yaml with contexts (see \`meridian help endpoints\`)
No journal at hand? \`meridian dev\` starts one on this machine.`;

export async function resolveEndpoint(
  values: Values,
  environment: Environment,
  command: CommandSpec,
): Promise<JournalOptions> {
  const fail = (message: string): never => {
    throw new UsageError(message, command);
  };
  const options: Said = {
    cluster: values.text('cluster'),
    instance: values.text('instance'),
    region: values.text('region'),
    replicas: parseReplicas(values.text('replicas'), '--replicas', fail),
    deadlineMs: values.number('deadline'),
    tlsCa: values.text('tls-ca'),
    tlsCertificate: values.text('tls-certificate'),
    tlsKey: values.text('tls-key'),
    token: tokenIn(values.text('token-file')),
  };
  const surroundings: Said = {
    cluster: environment['MERIDIAN_CLUSTER'],
    instance: environment['MERIDIAN_INSTANCE'],
    region: environment['MERIDIAN_REGION'],
    replicas: parseReplicas(environment['MERIDIAN_REPLICAS'], 'MERIDIAN_REPLICAS', fail),
    tlsCa: environment['MERIDIAN_TLS_CA'],
    tlsCertificate: environment['MERIDIAN_TLS_CERTIFICATE'],
    tlsKey: environment['MERIDIAN_TLS_KEY'],
    token: tokenFrom(environment),
  };
  const named = values.text('context');
  let said: readonly Said[] = [options, surroundings];
  if (named !== undefined) said = [options, await contextOf(named, values, environment, fail)];
  else if (environment['MERIDIAN_CONTEXT'] !== undefined || !isComplete(said)) {
    const current = environment['MERIDIAN_CONTEXT'] ?? null;
    said = [...said, await contextOf(current, values, environment, fail)];
  }
  const pick = <K extends keyof Said>(key: K): Said[K] =>
    said.find((each) => each[key] !== undefined)?.[key];
  const [cluster, instance, replicas] = [pick('cluster'), pick('instance'), pick('replicas')];
  const [region, deadlineMs] = [pick('region'), pick('deadlineMs')];
  if (cluster === undefined && instance === undefined && replicas === undefined) fail(MISSING);
  if (cluster === undefined) return fail('--cluster is missing (MERIDIAN_CLUSTER)');
  if (instance === undefined) return fail('--instance is missing (MERIDIAN_INSTANCE)');
  if (replicas === undefined) return fail('--replicas is missing (MERIDIAN_REPLICAS)');
  const regions = replicas.map((replica) => replica.region);
  if (region !== undefined && !regions.includes(region)) {
    fail(`region ${region} is none of ${regions.join(', ')}${didYouMean(region, regions)}`);
  }
  const [ca, certificate, key] = [pick('tlsCa'), pick('tlsCertificate'), pick('tlsKey')];
  const token = pick('token');
  if (ca === undefined && (certificate ?? key ?? token) !== undefined) {
    fail(
      'a certificate or token is given, and no --tls-ca: calls in the clear would show it to all',
    );
  }
  return {
    cluster,
    instance,
    replicas,
    ...(ca === undefined ? {} : { security: { tls: { ca, certificate, key }, token } }),
    ...(region === undefined ? {} : { region }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  };
}

function tokenIn(file: string | undefined): (() => string) | undefined {
  if (file === undefined) return undefined;
  return () => readSecretFile(file, 'the token').toString('utf8').trim();
}

function tokenFrom(environment: Environment): (() => string) | undefined {
  const token = environment['MERIDIAN_TOKEN'];
  return token === undefined ? tokenIn(environment['MERIDIAN_TOKEN_FILE']) : () => token;
}

/** `eu=10.0.1.10:7401,us=…` */
export function parseReplicas(
  text: string | undefined,
  where: string,
  fail: (message: string) => never,
): ReplicaAddress[] | undefined {
  if (text === undefined || text === '') return undefined;
  const replicas = text.split(',').map((part) => {
    const [region = '', address = '', ...more] = part.trim().split('=');
    if (region === '' || more.length > 0 || !ADDRESS.test(address)) {
      fail(`${where}: ${part.trim()}: expected region=host:port, separated by commas`);
    }
    return { region, address };
  });
  const twice = replicas.find(
    ({ region }, at) => replicas.findIndex((r) => r.region === region) < at,
  );
  if (twice !== undefined) fail(`${where}: region ${twice.region} is given twice`);
  return replicas;
}

export function configFileOf(values: Values, environment: Environment): string {
  const home = environment['XDG_CONFIG_HOME'] ?? join(homedir(), '.config');
  return (
    values.text('config') ?? environment['MERIDIAN_CONFIG'] ?? join(home, 'meridian', 'config.yaml')
  );
}

function isComplete(said: readonly Said[]): boolean {
  return (['cluster', 'instance', 'replicas'] as const).every((key) =>
    said.some((each) => each[key] !== undefined),
  );
}

/** null: the one that the file calls current, if there is such a file. */
async function contextOf(
  name: string | null,
  values: Values,
  environment: Environment,
  fail: (message: string) => never,
): Promise<Said> {
  const file = configFileOf(values, environment);
  const isGiven = values.has('config') || environment['MERIDIAN_CONFIG'] !== undefined;
  if (!existsSync(file)) {
    if (isGiven) fail(`${file}: there is no such configuration file`);
    if (name !== null) fail(`context ${name}: there is no configuration file ${file}`);
    return {};
  }
  const { readContexts } = await import('./contexts.ts');
  const { current, contexts } = readContexts(file);
  const names = [...contexts.keys()];
  const wanted = name ?? current ?? (names.length === 1 ? (names[0] ?? null) : null);
  if (wanted === null) {
    return fail(
      `${file}: which context? Give --context or set current; there are ${names.join(', ')}`,
    );
  }
  const context = contexts.get(wanted);
  if (context === undefined) {
    return fail(`${file}: there is no context ${wanted}${didYouMean(wanted, names)}`);
  }
  return saidBy(context, `${file}: contexts.${wanted}`, fail);
}

function saidBy(context: Context, where: string, fail: (message: string) => never): Said {
  const { cluster, instance, region, deadline } = context;
  const replicas = Object.entries(context.replicas).map(([name, address]) => ({
    region: name,
    address,
  }));
  if (replicas.length === 0) fail(`${where}.replicas: expected at least one region`);
  const deadlineMs = deadline === undefined ? undefined : parseDuration(deadline);
  if (deadlineMs === null) return fail(`${where}.deadline: expected a duration such as 10s`);
  const { tls, tokenFile } = context;
  return {
    cluster,
    instance,
    region,
    replicas,
    deadlineMs,
    tlsCa: tls?.ca,
    tlsCertificate: tls?.certificate,
    tlsKey: tls?.key,
    token: tokenIn(tokenFile),
  };
}
