/**
 * The whole local cluster: every member, in the order in which they need one another. Building it
 * makes what a new state directory lacks (log directories, databases); `start` runs it.
 */
import type { ClusterAddress } from '../../libs/postgres/cluster.ts';
import { crossbarMembers } from './crossbars.ts';
import { janitorMember } from './janitor.ts';
import { journalMembers } from './journals.ts';
import { DATABASE, postgresMembers } from './postgres-members.ts';
import { sidecarMembers } from './sidecars.ts';
import { Supervisor } from './supervisor.ts';
import type { Ports, Region } from './topology.ts';

export interface LocalCluster {
  readonly supervisor: Supervisor;
  readonly ports: Ports;
  /** Of the region's database `app`. */
  address(region: Region): ClusterAddress;
  isPostgresUp(region: Region): boolean;
}

export interface LocalClusterOptions {
  readonly directory: string;
  readonly ports: Ports;
  readonly onEvent: (text: string) => void;
}

export async function buildLocalCluster(options: LocalClusterOptions): Promise<LocalCluster> {
  const { directory, ports, onEvent } = options;
  const [journals, postgres] = await Promise.all([
    journalMembers(directory, ports),
    postgresMembers(directory, ports),
  ]);
  return {
    supervisor: new Supervisor({
      tiers: [
        [...journals, postgres.a, postgres.b, postgres.c],
        crossbarMembers(directory, ports),
        [...sidecarMembers(directory, ports, postgres), janitorMember(directory)],
      ],
      onEvent,
    }),
    ports,
    address: (region) => postgres[region].cluster.address(DATABASE),
    isPostgresUp: (region) => postgres[region].pid !== null,
  };
}
