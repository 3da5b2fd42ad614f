import { beforeEach, describe, expect, it } from 'vitest';
import type { Inspection, LaneInspection, PeerInspection } from '../../libs/lane/inspect.ts';
import { epoch, index, micros, timestamp } from '../../libs/values/numbers.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { StateStory } from './state-story.ts';

/** `level message {fields}` of every line. */
const lines: string[] = [];
const say =
  (level: string) =>
  (...given: [object, string] | [string]): void => {
    const [fields, message] = given.length === 1 ? [{}, given[0]] : given;
    const shown = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
    lines.push([level, message, ...shown].join(' '));
  };

let story: StateStory;
let view: Inspection;
let now = 0;
let via = '';

beforeEach(() => {
  lines.length = 0;
  now = 0;
  via = '';
  story = new StateStory({
    logger: { info: say('info'), warn: say('warn') },
    self: 0,
    regionOf: (replica) => ['eu', 'us', 'ap'][replica] ?? '',
    forwardedVia: () => via,
    noQuorumMicros: 1_000_000,
    slowSyncMicros: 500_000,
  });
  view = firstView();
  look();
});

/** Every lane is written by its home, everybody hears everybody. */
function firstView(): Inspection {
  const none = { base: index(0), last: index(0), synced: index(0), committed: index(0) };
  return {
    watermark: timestamp(0),
    clock: timestamp(0),
    reservation: timestamp(0),
    clockSafe: true,
    voting: true,
    hears: [true, true, true],
    peers: ([1, 2] as const).map((replica) => ({
      replica,
      heard: true,
      hearsUs: true,
      roundTripMicros: null,
      clockOffsetMicros: null,
      bases: null,
    })),
    lanes: ([0, 1, 2] as const).map((id) => ({
      ...none,
      id,
      promised: epoch(8 + id),
      writer: id,
      role: id === 0 ? 'writing' : 'follower',
      resolved: timestamp(0),
      hot: 0,
    })),
    queued: 0,
    inflightBytes: 0,
    fedBytes: 0,
  };
}

function look(change: Partial<Inspection> = {}, afterMs = 20): void {
  now += afterMs * 1000;
  view = { ...view, ...change };
  story.look(micros(now), view);
}

const lane = (id: ReplicaId, change: Partial<LaneInspection>): Partial<Inspection> => ({
  lanes: view.lanes.map((each) => (each.id === id ? { ...each, ...change } : each)),
});
const peer = (id: ReplicaId, change: Partial<PeerInspection>): Partial<Inspection> => ({
  peers: view.peers.map((each) => (each.replica === id ? { ...each, ...change } : each)),
});

function taken(): string[] {
  return lines.splice(0);
}

describe('the story of a replica', () => {
  it('tells a seal with its reason, and the return of the home, once each', () => {
    look({ ...peer(1, { heard: false }) });
    look(lane(1, { role: 'preparing', writer: 0, promised: epoch(16) }));
    look(lane(1, { role: 'writing' }));
    look();
    expect(taken()).toEqual([
      'warn sealing the lane of a silent home lane=1 region=us epoch=16 why=its home is heard neither here nor by replica 2',
      'warn the lane is sealed lane=1 region=us epoch=16 by=eu',
    ]);
    look(lane(1, { role: 'follower', writer: 1, promised: epoch(25) }));
    look();
    expect(taken()).toEqual([
      'info the lane is written by its home lane=1 region=us epoch=25 by=us',
    ]);
    expect(story.events).toEqual({ opens: [0, 1, 0], seals: [0, 1, 0] });
  });

  it('tells of the own lane sealed by another and opened again', () => {
    look(lane(0, { role: 'follower', writer: 2, promised: epoch(18) }));
    look(lane(0, { role: 'preparing', writer: 0, promised: epoch(24) }));
    look(lane(0, { role: 'writing' }));
    expect(taken()).toEqual([
      'warn the lane is sealed lane=0 region=eu epoch=18 by=ap',
      'info opening the own lane lane=0 region=eu epoch=24',
      'info the lane is written by its home lane=0 region=eu epoch=24 by=eu',
      'info the own lane is open lane=0 region=eu epoch=24 index=0',
    ]);
  });

  it('tells who hears whom when it has stayed so, and not while it flickers', () => {
    look({}, 2000);
    taken();
    for (let i = 0; i < 20; i += 1) look(peer(2, { heard: i % 2 === 0 }), 100);
    expect(taken()).toEqual([]);
    look(peer(2, { heard: false, hearsUs: true }));
    look({}, 1500);
    look({}, 1500);
    look(peer(2, { hearsUs: false }));
    look({}, 1500);
    look(peer(2, { heard: true }));
    look({}, 1500);
    look(peer(2, { hearsUs: true }));
    look({}, 1500);
    expect(taken()).toEqual([
      'warn this replica does not hear the peer peer=2 region=ap heard=false hearsUs=false',
      'warn the peer does not hear this replica peer=2 region=ap heard=true hearsUs=false',
      'info the peer and this replica hear each other peer=2 region=ap heard=true hearsUs=true',
    ]);
  });

  it('tells once that no quorum is left, and that it is back', () => {
    look({}, 2000);
    taken();
    const silent = view.peers.map((each) => ({ ...each, heard: false }));
    look({ peers: silent });
    look({}, 600);
    expect(taken()).toEqual([]);
    look({}, 600);
    expect(taken()).toEqual([
      'warn this replica does not hear the peer peer=1 region=us heard=false hearsUs=false',
      'warn this replica does not hear the peer peer=2 region=ap heard=false hearsUs=false',
      'warn hears neither of the others: appends are refused, nothing is released',
    ]);
    look({}, 5000);
    look(peer(1, { heard: true }));
    expect(taken()).toEqual(['info hears another replica again']);
  });

  it('tells of an unsafe clock with the offsets, of recovery, and of a detour', () => {
    look({ ...peer(1, { clockOffsetMicros: 9_000_000 }), clockSafe: false });
    look();
    look({ clockSafe: true });
    look({ voting: false });
    look({ voting: true });
    via = 'ap';
    look();
    look();
    via = '';
    look();
    expect(taken()).toEqual([
      'warn the clock is out of bounds: nothing is stamped until it is not offsets=[object Object],[object Object]',
      'info the clock is within its bounds again',
      'info recovered from both others: this replica votes',
      'warn a region forwards for a link that is down via=ap',
      'info no forwarding is needed any more via=ap',
    ]);
  });

  it('tells of slow syncs at most every ten seconds, with their number and the worst', () => {
    const sync = (ms: number): boolean => story.synced(micros(now), ms * 1000);
    expect(sync(499)).toBe(false);
    expect([sync(600), sync(900), sync(700)]).toEqual([true, true, true]);
    now += 11_000_000;
    sync(501);
    expect(taken()).toEqual([
      'warn the disk syncs slowly syncs=1 worstMs=600',
      'warn the disk syncs slowly syncs=3 worstMs=900',
    ]);
  });
});
