/** Faults of processes and clocks: rows P1 to P8 of the catalogue. */
import { othersOf, REGIONS } from '../cluster/wide-area.ts';
import type { Region } from '../cluster/wide-area.ts';
import { together } from '../faults/fault.ts';
import { cutPair, isolateReplica } from '../faults/network-faults.ts';
import {
  clockDrift,
  clockJump,
  clockStrobe,
  freeze,
  kill,
  restartEach,
  restartLoop,
  stalls,
} from '../faults/process-faults.ts';
import type { Plan } from './scenario.ts';

const HOUR_MS = 3_600_000;
const base = { size: 'journal', operationsMin: 500 } as const;

export const processScenarios: readonly Plan[] = [
  {
    ...base,
    name: 'proc/kill-each',
    about: 'each replica in turn is killed with -9; the clients of all regions go on',
    rows: ['P1'],
    schedule: async (stage) => {
      for (const region of stage.random.shuffle(REGIONS)) {
        const fault = kill([stage.cluster.replica(region)]);
        await stage.during(fault, 800, { regions: othersOf(region) });
        await stage.settle();
      }
    },
  },
  {
    ...base,
    name: 'proc/kill-two',
    about: 'two replicas are killed at once: appends stop, and nothing is lost',
    rows: ['P1'],
    operationsMin: 300,
    schedule: async (stage) => {
      const [survivor] = stage.random.shuffle(REGIONS) as [Region];
      await stage.during(kill(othersOf(survivor).map((it) => stage.cluster.replica(it))), 1_500);
    },
  },
  {
    ...base,
    name: 'proc/kill-all',
    about: 'all replicas are killed at once, twice: every acknowledged append is there afterwards',
    rows: ['P1'],
    operationsMin: 300,
    schedule: async (stage) => {
      await stage.during(kill(stage.cluster.replicas), 200);
      await stage.settle();
      await stage.during(kill(stage.cluster.replicas), 200);
    },
  },
  {
    ...base,
    name: 'proc/pause-each',
    about: 'each replica in turn is stopped by SIGSTOP and goes on with what it believes',
    rows: ['P4'],
    schedule: async (stage) => {
      for (const region of stage.random.shuffle(REGIONS)) {
        const fault = freeze([stage.cluster.replica(region)]);
        await stage.during(fault, 1_000, { regions: othersOf(region) });
        await stage.settle();
      }
    },
  },
  {
    ...base,
    name: 'proc/pause-kill',
    about: 'one is paused, another killed meanwhile, the paused one resumes, the third pauses',
    rows: ['P3'],
    operationsMin: 300,
    schedule: async (stage) => {
      const [x, y, z] = stage.random.shuffle(REGIONS) as [Region, Region, Region];
      const { cluster } = stage;
      const paused = freeze([cluster.replica(x)]);
      const killed = kill([cluster.replica(y)]);
      await stage.begin(paused);
      await stage.pause(700);
      await stage.begin(killed);
      await stage.pause(500);
      await stage.end(paused);
      const third = freeze([cluster.replica(z)]);
      await stage.begin(third);
      await stage.end(killed);
      await stage.pause(1_000);
      await stage.end(third);
    },
  },
  {
    ...base,
    name: 'proc/restart-loop',
    about: 'a replica is killed again before or soon after it serves, over and over',
    rows: ['P5'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const fault = restartLoop(stage.cluster.replica(region), stage.random, [300, 1_500]);
      await stage.during(fault, 4_500, { regions: othersOf(region) });
    },
  },
  {
    ...base,
    name: 'proc/rolling',
    about: 'the replicas are restarted one after another in an orderly way',
    rows: ['P6'],
    schedule: async (stage) => {
      const replicas = stage.random.shuffle(stage.cluster.replicas);
      await stage.mark('rolling restart', 'all replicas', () => restartEach(replicas, 500));
    },
  },
  {
    ...base,
    name: 'proc/stalls',
    about: 'the event loop of a replica stands still for two seconds, as in a long collection',
    rows: ['P8'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const fault = stalls(stage.cluster.replica(region), stage.random, [2_200, 3_000]);
      await stage.during(fault, 3_500, { regions: othersOf(region) });
    },
  },
  {
    ...base,
    name: 'proc/cut-and-kill',
    about: 'a link is cut and the replica that forwards around it is killed: faults compose',
    rows: ['N3', 'P1'],
    operationsMin: 300,
    schedule: async (stage) => {
      const [x, y, z] = stage.random.shuffle(REGIONS) as [Region, Region, Region];
      await stage.begin(cutPair(stage.network, x, y));
      await stage.pause(800);
      await stage.during(kill([stage.cluster.replica(z)]), 1_000);
    },
  },
  {
    ...base,
    name: 'clock/jump',
    about: "a replica's wall clock jumps an hour ahead, then an hour back; the others go on",
    rows: ['P7'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const replica = stage.cluster.replica(region);
      const goOn = { regions: othersOf(region) };
      await stage.during(clockJump(replica, HOUR_MS), 1_800, goOn);
      await stage.settle();
      await stage.during(clockJump(replica, -HOUR_MS), 1_800, goOn);
    },
  },
  {
    ...base,
    name: 'clock/strobe',
    about: 'one clock jumps to and fro by 200 ms, another runs a fifth too fast',
    rows: ['P7'],
    schedule: async (stage) => {
      const [x, y] = stage.random.shuffle(REGIONS) as [Region, Region];
      const fault = together(
        clockStrobe(stage.cluster.replica(x), stage.random, 200),
        clockDrift(stage.cluster.replica(y), 100_000),
      );
      await stage.during(fault, 3_000);
    },
  },
  {
    ...base,
    name: 'clock/skew-and-isolate',
    about: 'a replica whose clock is 400 ms ahead is cut off and comes back',
    rows: ['P7', 'N1'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      await stage.begin(clockJump(stage.cluster.replica(region), 400));
      await stage.pause(800);
      await stage.during(isolateReplica(stage.network, region), 1_500, {
        regions: othersOf(region),
      });
    },
  },
];
