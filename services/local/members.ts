/** A Postgres as a member of the local cluster; our own processes are `ServiceProcess`es. */
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster, ClusterOptions } from '../../libs/postgres/cluster.ts';
import type { Member } from './supervisor.ts';

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
    onSpawn: () => {
      ended = new Promise((resolve) => (end = resolve));
    },
    onExit: (_pid, code, signal) => {
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
