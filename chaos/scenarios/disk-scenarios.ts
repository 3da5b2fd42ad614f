/** Faults of disks: rows D1 to D13 of the catalogue. */
import { othersOf, REGIONS } from '../cluster/wide-area.ts';
import type { Region } from '../cluster/wide-area.ts';
import {
  cutFile,
  failingDisk,
  flippedBits,
  rolledBack,
  slowDisk,
  snapshot,
  wipedDisk,
} from '../faults/disk-faults.ts';
import { kill } from '../faults/process-faults.ts';
import type { Plan } from './scenario.ts';

const base = { size: 'journal', operationsMin: 500 } as const;

export const diskScenarios: readonly Plan[] = [
  {
    ...base,
    name: 'disk/slow',
    about: "every write of one replica's disk takes 200 ms longer; the others go on",
    rows: ['D10'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const fault = slowDisk(stage.cluster.replica(region), 200);
      await stage.during(fault, 3_000, { regions: othersOf(region) });
    },
  },
  {
    ...base,
    name: 'disk/full',
    about: "one replica's disk is full; its clients go elsewhere; it comes back when there is room",
    rows: ['D9'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const fault = failingDisk(stage.cluster.replica(region), 'ENOSPC');
      await stage.during(fault, 2_500, { regions: othersOf(region) });
    },
  },
  {
    ...base,
    name: 'disk/failing-sync',
    about: 'writes and syncs of one replica fail: it acknowledges nothing and reads its log again',
    rows: ['D7', 'D8'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const fault = failingDisk(stage.cluster.replica(region), 'EIO');
      await stage.during(fault, 2_500, { regions: othersOf(region) });
    },
  },
  {
    ...base,
    name: 'disk/flipped-bits',
    about: 'bits of a log flip while its replica is down; it is repaired from the others',
    rows: ['D2'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const fault = flippedBits(stage.cluster.replica(region), stage.random, 5);
      await stage.during(fault, 1_000, { regions: othersOf(region) });
    },
  },
  {
    ...base,
    name: 'disk/cut',
    about: 'the end of a log is lost while its replica is down',
    rows: ['D1', 'D6'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const fault = cutFile(stage.cluster.replica(region), stage.random);
      await stage.during(fault, 1_000, { regions: othersOf(region) });
    },
  },
  {
    ...base,
    name: 'disk/wiped',
    about: 'a directory is gone; its replica recovers from both others, which then die in turn',
    rows: ['D12'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const fault = wipedDisk(stage.cluster.replica(region));
      await stage.during(fault, 800, { regions: othersOf(region) });
      await stage.untilVoting();
      for (const other of stage.random.shuffle(othersOf(region))) {
        await stage.during(kill([stage.cluster.replica(other)]), 700);
        await stage.untilVoting();
        await stage.settle();
      }
    },
  },
  {
    ...base,
    name: 'disk/rolled-back',
    about: 'a directory becomes what it was some seconds ago: a restored snapshot',
    rows: ['D13'],
    schedule: async (stage) => {
      const [region] = stage.random.shuffle(REGIONS) as [Region];
      const replica = stage.cluster.replica(region);
      let copy = '';
      await stage.mark('restart for a copy', replica.name, async () => {
        copy = await snapshot(replica);
      });
      await stage.pause(1_500);
      await stage.during(rolledBack(replica, copy), 500, { regions: othersOf(region) });
      // Its peers recognise the copy; it is set aside and recovered from them.
      await stage.untilVoting();
    },
  },
];
