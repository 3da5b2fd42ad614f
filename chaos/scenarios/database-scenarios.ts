/** Postgres in three regions with their sidecars: rows A1 to A10 of the catalogue as far as they apply. */
import { othersOf, REGIONS } from '../cluster/wide-area.ts';
import type { Region } from '../cluster/wide-area.ts';
import { PRIMARY } from '../cluster/layout.ts';
import { isolate, isolateReplica, resets } from '../faults/network-faults.ts';
import { kill } from '../faults/process-faults.ts';
import type { Plan } from './scenario.ts';
import type { Stage } from './stage.ts';

const base = { size: 'database', operationsMin: 300 } as const;
const REPLICAS = othersOf(PRIMARY);

function sidecarLinks({ network }: Stage, region: Region) {
  return network.links.filter(({ from }) => from.role === 'sidecar' && from.region === region);
}

export const databaseScenarios: readonly Plan[] = [
  {
    ...base,
    name: 'pg/kill-replica',
    about: 'a replica database and its sidecar are killed: each goes on where the database stands',
    rows: ['A1', 'I14'],
    schedule: async (stage) => {
      const region = stage.random.pick(REPLICAS);
      await stage.during(kill([stage.cluster.part(`postgres-${region}`)]), 700);
      await stage.settle();
      await stage.during(kill([stage.cluster.part(`sidecar-${region}`)]), 500);
    },
  },
  {
    ...base,
    name: 'pg/kill-primary',
    about: 'the primary database is killed during its load, then the sidecar that ships it',
    rows: ['A1', 'A5'],
    schedule: async (stage) => {
      await stage.during(kill([stage.cluster.part(`postgres-${PRIMARY}`)]), 700);
      await stage.settle();
      await stage.during(kill([stage.cluster.part(`sidecar-${PRIMARY}`)]), 500);
    },
  },
  {
    ...base,
    name: 'pg/resets',
    about: "all the sidecars' connections are reset, again and again: to Postgres and to us",
    rows: ['A3'],
    schedule: async (stage) => {
      const links = REGIONS.flatMap((region) => sidecarLinks(stage, region));
      const fault = resets('resets', 'all sidecars', links, stage.random, [500, 1_200]);
      await stage.during(fault, 3_500, { regions: REGIONS });
    },
  },
  {
    ...base,
    name: 'pg/isolate-region',
    about: 'a region with its database is cut off; reads there wait and are never stale',
    rows: ['N1', 'A9'],
    schedule: async (stage) => {
      await stage.during(isolate(stage.network, stage.random.pick(REPLICAS)), 2_000);
    },
  },
  {
    ...base,
    name: 'pg/journal-dies',
    about: "the primary's region loses its replica of the journal, then another is cut off",
    rows: ['P1', 'N1'],
    schedule: async (stage) => {
      await stage.during(kill(stage.cluster.replicasIn(PRIMARY)), 1_000);
      await stage.settle();
      await stage.during(isolateReplica(stage.network, stage.random.pick(REPLICAS)), 1_500);
    },
  },
];
