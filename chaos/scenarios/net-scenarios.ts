/** Faults of the network: rows N1 to N12 of the catalogue, and distances of other regions. */
import { othersOf, REGIONS, WIDE_AREAS } from '../cluster/wide-area.ts';
import type { Region } from '../cluster/wide-area.ts';
import { together } from '../faults/fault.ts';
import {
  clientsSeeOnly,
  cutOneWay,
  cutPair,
  endAfterBytes,
  flap,
  isolate,
  isolateAll,
  isolateReplica,
  muteRegion,
  narrow,
  otherArea,
  resets,
  silenceLinks,
  slice,
  slowRegion,
} from '../faults/network-faults.ts';
import type { Plan } from './scenario.ts';

const PAIRS = [
  ['a', 'b'],
  ['b', 'c'],
  ['a', 'c'],
] as const satisfies readonly (readonly [Region, Region])[];

/** Every region, while one link is cut: both its ends go on through the third (P5). */
const ALL = { regions: REGIONS };

const base = { size: 'journal', operationsMin: 500 } as const;

export const netScenarios: readonly Plan[] = [
  {
    ...base,
    name: 'net/isolate-one',
    about: 'one region is cut off, silently and then with refusals; the other two go on',
    rows: ['N1'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const goOn = { regions: othersOf(region) };
      await stage.during(isolate(stage.network, region), 2_000, goOn);
      await stage.settle();
      await stage.during(isolate(stage.network, region, 'cut'), 1_500, goOn);
    },
  },
  {
    ...base,
    name: 'net/isolate-replica',
    about: 'a replica reaches no other while its clients still reach it; they go elsewhere',
    rows: ['N1'],
    schedule: async (stage) => {
      await stage.during(isolateReplica(stage.network, stage.anyRegion()), 3_000, ALL);
    },
  },
  {
    ...base,
    name: 'net/isolate-all',
    about: 'no region reaches another: nothing is acknowledged, and all is well afterwards',
    rows: ['N2'],
    operationsMin: 300,
    schedule: async (stage) => {
      await stage.during(isolateAll(stage.network), 2_500);
    },
  },
  {
    ...base,
    name: 'net/partial-chain',
    about: 'each link is cut in turn: all clients go on, no epoch changes',
    rows: ['N3', 'I22'],
    schedule: async (stage) => {
      for (const [x, y] of stage.random.shuffle(PAIRS)) {
        await stage.withoutEpochChange(() =>
          stage.during(cutPair(stage.network, x, y), 1_200, ALL),
        );
        await stage.settle();
      }
      const [x, y] = stage.random.pick(PAIRS);
      await stage.during(cutPair(stage.network, x, y, 'cut'), 1_200, ALL);
    },
  },
  {
    ...base,
    name: 'net/asymmetric',
    about: 'one direction of each link is lost in turn: all clients go on, no epoch changes',
    rows: ['N4', 'I22'],
    schedule: async (stage) => {
      const edges = PAIRS.flatMap(([x, y]) => [[x, y] as const, [y, x] as const]);
      for (const [x, y] of stage.random.shuffle(edges)) {
        await stage.withoutEpochChange(() =>
          stage.during(cutOneWay(stage.network, x, y), 700, ALL),
        );
      }
    },
  },
  {
    ...base,
    name: 'net/mute-region',
    about: 'nothing that a region says is heard, though it hears everything',
    rows: ['N4'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const goOn = { regions: othersOf(region) };
      await stage.during(muteRegion(stage.network, region), 2_500, goOn);
    },
  },
  {
    ...base,
    name: 'net/client-behind-one',
    about: 'clients reach one replica only, and that reaches one other only',
    rows: ['N5'],
    schedule: async (stage) => {
      const [clients, reachable, third] = stage.random.shuffle(REGIONS) as [Region, Region, Region];
      const fault = together(
        clientsSeeOnly(stage.network, clients, reachable),
        cutPair(stage.network, reachable, third),
      );
      await stage.during(fault, 3_000, { regions: [reachable, third, clients], gapMsMax: 4_000 });
    },
  },
  {
    ...base,
    name: 'net/flapping',
    about: 'a link goes down and comes back every few hundred milliseconds',
    rows: ['N6'],
    schedule: async (stage) => {
      const [x, y] = stage.random.pick(PAIRS);
      const links = stage.network.between(x, y);
      const fault = flap(`flap ${x}-${y}`, `${x}-${y}`, links, stage.random, [50, 500]);
      await stage.during(fault, 4_000, ALL);
    },
  },
  {
    ...base,
    name: 'net/slow-region',
    about: 'one region is 150 ms away, give or take 50: it costs itself',
    rows: ['N7'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const goOn = { regions: othersOf(region) };
      await stage.during(slowRegion(stage.network, region, 150, 50), 3_500, goOn);
    },
  },
  {
    ...base,
    name: 'net/far-regions',
    about: 'the distances of two other triples of real regions, up to 128 ms',
    rows: ['N7'],
    schedule: async (stage) => {
      await stage.during(otherArea(stage.network, WIDE_AREAS.america), 2_000, ALL);
      await stage.during(otherArea(stage.network, WIDE_AREAS.atlantic), 2_500, ALL);
    },
  },
  {
    ...base,
    name: 'net/narrow',
    about: '64 kilobytes a second are all that gets into or out of a region',
    rows: ['N10'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const goOn = { regions: othersOf(region) };
      await stage.during(narrow(stage.network, region, 64), 3_500, goOn);
    },
  },
  {
    ...base,
    name: 'net/half-open',
    about: "clients' connections to their own replica stay open and carry nothing",
    rows: ['N11'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const links = stage.network.links.filter(
        ({ from, to }) => from.role === 'client' && from.region === region && to.region === region,
      );
      const fault = silenceLinks('half-open', `clients ${region}`, links);
      await stage.during(fault, 4_000, ALL);
    },
  },
  {
    ...base,
    name: 'net/slicer',
    about: 'all that gets into or out of a region arrives in pieces of a few bytes',
    rows: ['N12'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const goOn = { regions: othersOf(region) };
      await stage.during(slice(stage.network, region, 40, 20), 3_000, goOn);
    },
  },
  {
    ...base,
    name: 'net/resets',
    about: 'connections of all links are reset, again and again',
    rows: ['N12', 'C1'],
    schedule: async (stage) => {
      const { links } = stage.network;
      const fault = resets('resets', 'all links', links, stage.random, [300, 1_200]);
      await stage.during(fault, 4_000);
    },
  },
  {
    ...base,
    name: 'net/cut-mid-message',
    about: 'connections end after some thousand bytes, wherever in a message that is',
    rows: ['N12'],
    schedule: async (stage) => {
      const region = stage.anyRegion();
      const links = stage.network.across(region);
      const name = 'ends mid-message';
      const fault = endAfterBytes(name, region, links, stage.random, [1_000, 40_000]);
      await stage.during(fault, 4_000, { regions: othersOf(region) });
    },
  },
];
