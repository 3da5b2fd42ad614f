/**
 * A journal of three replicas on this machine: one process each, a directory each, loopback only. Owns
 * the layout of the directory and the order of starting and stopping; a replica's own affairs are its
 * own, it is only a process here.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MeridianError } from '../../libs/errors/errors.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { isPortFree, releasePorts, reservePorts } from '../../libs/processes/ports.ts';

const PROGRAM = fileURLToPath(new URL('../journal/main.js', import.meta.url));
const MERIDIAN = fileURLToPath(new URL('./main.js', import.meta.url));
const READY_MS = 60_000;
/** Three replicas share a machine with whatever is being developed. */
const CACHE_BYTES = 32 * 1024 * 1024;

export interface LocalOptions {
  readonly directory: string;
  readonly cluster: string;
  readonly instance: string;
  /** Three. */
  readonly regions: readonly string[];
  /** First of nine ports in a row; null: the ones of the last time, else free ones. */
  readonly firstPort: number | null;
}

export interface LocalReplica {
  readonly region: string;
  readonly address: string;
  /** Address of its web console and of JSON over HTTP. */
  readonly console: string;
  readonly dataDirectory: string;
  readonly logFile: string;
  readonly child: Child;
}

export interface LocalInstance {
  readonly replicas: readonly LocalReplica[];
  /** A configuration file for this program, with this journal as its context. */
  readonly configFile: string;
  /** A directory for PATH, with this program as `meridian`: a checkout has it on nobody's PATH. */
  readonly programs: string;
  stop(): Promise<void>;
}

interface Place {
  readonly region: string;
  readonly client: number;
  readonly peer: number;
  readonly http: number;
}

/** Returns when every replica serves. Throws REFUSED, UNAVAILABLE or DEADLINE with what a replica said. */
export async function startLocalInstance(options: LocalOptions): Promise<LocalInstance> {
  const { directory, regions } = options;
  mkdirSync(directory, { recursive: true });
  // They would read our environment as their configuration.
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('MERIDIAN_')) Reflect.deleteProperty(process.env, name);
  }
  const reserved: number[] = [];
  const ports = await choosePorts(options, reserved);
  const places = regions.map((region, at) => ({
    region,
    client: ports[at] ?? 0,
    peer: ports[regions.length + at] ?? 0,
    http: ports[2 * regions.length + at] ?? 0,
  }));
  writeFileSync(join(directory, 'ports.json'), `${JSON.stringify(ports)}\n`);
  const replicas: LocalReplica[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(replicas.map(({ child }) => child.stop()));
    releasePorts(reserved);
  };
  try {
    const files = await Promise.all(places.map((_, at) => prepare(options, places, at)));
    for (const [at, file] of files.entries())
      replicas.push(await launch(options, places, at, file));
    await Promise.all(
      replicas.map(({ child }) => child.ready({ line: /"msg":"serving"/ }, READY_MS)),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  const configFile = writeContext(options, places);
  return { replicas, configFile, programs: writePrograms(directory), stop };
}

/** Those of the last time, so that what was configured for them goes on working. */
async function choosePorts(
  { directory, regions, firstPort }: LocalOptions,
  reserved: number[],
): Promise<number[]> {
  const count = regions.length * 3;
  if (firstPort !== null) return Array.from({ length: count }, (_, at) => firstPort + at);
  const file = join(directory, 'ports.json');
  if (existsSync(file)) {
    const ports = JSON.parse(readFileSync(file, 'utf8')) as number[];
    const free = await Promise.all(ports.map((port) => isPortFree(port)));
    if (free.every(Boolean)) {
      // An earlier version knew fewer.
      if (ports.length < count) reserved.push(...(await reservePorts(count - ports.length)));
      return [...ports, ...reserved];
    }
  }
  reserved.push(...(await reservePorts(count)));
  return [...reserved];
}

/** Writes the replica's configuration and formats its directory when there is none. */
async function prepare(
  { directory, cluster, instance }: LocalOptions,
  places: readonly Place[],
  replica: number,
): Promise<string> {
  const place = places[replica] ?? { region: '', client: 0, peer: 0, http: 0 };
  const dataDirectory = join(directory, 'data', place.region);
  const config = {
    cluster,
    instance,
    replica,
    region: place.region,
    dataDirectory,
    listen: `127.0.0.1:${place.client}`,
    peerListen: `127.0.0.1:${place.peer}`,
    httpListen: `127.0.0.1:${place.http}`,
    peers: places.flatMap((other, number) =>
      number === replica
        ? []
        : [{ replica: number, region: other.region, address: `127.0.0.1:${other.peer}` }],
    ),
    limits: { cacheBytesMax: CACHE_BYTES },
  };
  const file = join(directory, 'config', `${place.region}.yaml`);
  mkdirSync(join(directory, 'config'), { recursive: true });
  mkdirSync(join(directory, 'data'), { recursive: true });
  // YAML reads JSON; indented, for people who look.
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`);
  if (!existsSync(dataDirectory)) {
    const child = await spawnChild({
      name: `format ${place.region}`,
      command: process.execPath,
      args: [PROGRAM, 'format', '--config', file],
    });
    const { code } = await child.exited;
    if (code !== 0) {
      throw new MeridianError(
        'REFUSED',
        `the replica of ${place.region} cannot be set up: ${child.lastLines(3).join(' ')}`,
      );
    }
  }
  return file;
}

async function launch(
  { directory }: LocalOptions,
  places: readonly Place[],
  replica: number,
  file: string,
): Promise<LocalReplica> {
  const { region, client, http } = places[replica] ?? { region: '', client: 0, http: 0 };
  const logFile = join(directory, 'logs', `${region}.log`);
  const child = await spawnChild({
    name: `journal ${region}`,
    command: process.execPath,
    args: [PROGRAM, '--config', file],
    logFile,
  });
  const dataDirectory = join(directory, 'data', region);
  return {
    region,
    address: `127.0.0.1:${client}`,
    console: `http://127.0.0.1:${http}/`,
    dataDirectory,
    logFile,
    child,
  };
}

function writeContext(
  { directory, cluster, instance }: LocalOptions,
  places: readonly Place[],
): string {
  const file = join(directory, 'meridian.yaml');
  const replicas = Object.fromEntries(
    places.map(({ region, client }) => [region, `127.0.0.1:${client}`]),
  );
  const config = { current: 'dev', contexts: { dev: { cluster, instance, replicas } } };
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`);
  return file;
}

function writePrograms(directory: string): string {
  const programs = join(directory, 'bin');
  const file = join(programs, 'meridian');
  mkdirSync(programs, { recursive: true });
  const words = [process.execPath, MERIDIAN].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  writeFileSync(file, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`);
  chmodSync(file, 0o755);
  return programs;
}
