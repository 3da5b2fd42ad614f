/** Two instances and crossbars: one total order out of two journals while parts of either are away. */
import { REGIONS } from '../cluster/wide-area.ts';
import type { Region } from '../cluster/wide-area.ts';
import { together } from '../faults/fault.ts';
import { isolate, resets, silenceLinks } from '../faults/network-faults.ts';
import { freeze, kill } from '../faults/process-faults.ts';
import type { Plan } from './scenario.ts';
import type { Stage } from './stage.ts';

const base = { size: 'merged', operationsMin: 500 } as const;

/** Links of the crossbar in that region to replicas anywhere. */
function crossbarLinks({ network }: Stage, region: Region) {
  return network.links.filter(({ from }) => from.role === 'crossbar' && from.region === region);
}

export const mergedScenarios: readonly Plan[] = [
  {
    ...base,
    name: 'merged/region-dies',
    about: 'all processes of a region are killed at once: replicas of both instances, crossbar',
    rows: ['P1', 'I7'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const { cluster } = stage;
      const parts = [...cluster.replicasIn(region), partOf(stage, region)];
      await stage.during(kill(parts), 1_500);
    },
  },
  {
    ...base,
    name: 'merged/different-regions',
    about: 'instance one loses a replica in one region, instance two in another',
    rows: ['N1', 'P4', 'I7'],
    schedule: async (stage) => {
      const [x, y] = stage.random.shuffle(REGIONS) as [Region, Region];
      const fault = together(
        kill([stage.cluster.replica(x, 'one')]),
        freeze([stage.cluster.replica(y, 'two')]),
      );
      await stage.during(fault, 1_500);
    },
  },
  {
    ...base,
    name: 'merged/crossbars',
    about: 'a crossbar is killed, another paused, the third loses its connections',
    rows: ['P1', 'P4', 'I15'],
    schedule: async (stage) => {
      const [x, y, z] = stage.random.shuffle(REGIONS) as [Region, Region, Region];
      const links = crossbarLinks(stage, z);
      await stage.during(kill([partOf(stage, x)]), 500);
      await stage.during(freeze([stage.cluster.crossbar(y)]), 1_000);
      const fault = resets('resets', `crossbar-${z}`, links, stage.random, [300, 800]);
      await stage.during(fault, 1_500);
    },
  },
  {
    ...base,
    name: 'merged/crossbar-blind',
    about: 'a crossbar hears nothing of one instance: the order stands still there, and says why',
    rows: ['N11', 'I12'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const instance = stage.random.pick(stage.cluster.layout.instances);
      const links = crossbarLinks(stage, region).filter((link) => link.instance === instance);
      const fault = silenceLinks('blind', `crossbar-${region} to ${instance}`, links);
      await stage.during(fault, 3_000, { regions: REGIONS });
    },
  },
  {
    ...base,
    name: 'merged/isolate-region',
    about: 'a region with its crossbar is cut off and follows again from where it stood',
    rows: ['N1', 'I15'],
    schedule: async (stage) => {
      await stage.during(isolate(stage.network, stage.anyRegion()), 2_500);
    },
  },
];

function partOf(stage: Stage, region: Region) {
  return stage.cluster.part(`crossbar-${region}`);
}
