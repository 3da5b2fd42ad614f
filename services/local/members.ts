/** The two kinds of members of the local cluster: one of our own processes, and a Postgres. */
import { fileURLToPath } from 'node:url';
import { MeridianError } from '../../libs/errors/errors.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child, Ready } from '../../libs/processes/child.ts';
import { guard, release } from '../../libs/processes/guardian.ts';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster, ClusterOptions } from '../../libs/postgres/cluster.ts';
import type { Member } from './supervisor.ts';

const DIST = fileURLToPath(new URL('../..', import.meta.url));
const READY_MS = 30_000;
/** Between SIGTERM and SIGKILL. */
const STOP_MS = 8_000;

export interface ServiceOptions {
  /** `journal-one-a`; also the name of its log file. */
  readonly name: string;
  /** Module below services/, for example `journal/main.js`. */
  readonly module: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly ready: Ready;
}

/** A Node process of this build. */
export function serviceMember(options: ServiceOptions): Member {
  let child: Child | null = null;
  return {
    name: options.name,
    get pid() {
      return child?.pid ?? null;
    },
    start: async () => {
      child = await spawnChild({
        name: options.name,
        command: process.execPath,
        args: [`${DIST}services/${options.module}`, ...options.args],
        logFile: options.logFile,
        stopDeadlineMs: STOP_MS,
      });
      try {
        await child.ready(options.ready, READY_MS);
      } catch (error) {
        await child.kill();
        throw error;
      }
    },
    stop: async () => {
      await child?.stop();
    },
    kill: async () => {
      await child?.kill();
    },
    ended: async () => {
      const exit = await child?.exited;
      return exit?.signal ? `signal ${exit.signal}` : `exit code ${String(exit?.code ?? null)}`;
    },
  };
}

/** Runs a command of this build to its end; throws with its last lines when it fails. */
export async function runService(options: Omit<ServiceOptions, 'ready'>): Promise<void> {
  const child = await spawnChild({
    name: options.name,
    command: process.execPath,
    args: [`${DIST}services/${options.module}`, ...options.args],
    logFile: options.logFile,
  });
  const { code } = await child.exited;
  if (code === 0) return;
  throw new MeridianError(
    'REFUSED',
    `${options.name} failed (exit code ${String(code)}):\n  ${child.lastLines().join('\n  ')}`,
  );
}

export interface PostgresMember extends Member {
  readonly cluster: Cluster;
}

/** Makes the cluster when the directory holds none; it ends with this process. */
export async function postgresMember(
  name: string,
  options: Omit<ClusterOptions, 'onSpawn' | 'onExit'>,
): Promise<PostgresMember> {
  let ended: Promise<string> = Promise.resolve('');
  let end: (how: string) => void = () => undefined;
  const cluster = await createCluster({
    ...options,
    onSpawn: (pid) => {
      guard(pid, 'SIGINT');
      ended = new Promise((resolve) => (end = resolve));
    },
    onExit: (pid, code, signal) => {
      release(pid);
      end(signal === null ? `exit code ${String(code)}` : `signal ${signal}`);
    },
  });
  return {
    name,
    cluster,
    get pid() {
      return cluster.pid;
    },
    start: () => cluster.start(),
    stop: () => cluster.stop('fast'),
    kill: () => cluster.kill(),
    ended: () => ended,
  };
}
