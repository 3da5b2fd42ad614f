import { describe, expect, it } from 'vitest';
import { create } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import { StatusResponseSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { impactOf, problemsOf } from './diagnosis.ts';
import type { StatusAnswer } from './replicas.ts';
import { statusText } from './status-text.ts';
import { instanceView } from './status-view.ts';
import type { InstanceView } from './status-view.ts';

const NOW = 1_795_273_929_000_000n;
const REGIONS = ['eu', 'us', 'ap'];

function healthy(replica: number): StatusResponse {
  return create(StatusResponseSchema, {
    replica,
    region: REGIONS[replica] ?? '',
    version: '0.1.0',
    voting: true,
    clockSafe: true,
    wallClock: NOW,
    watermark: NOW - 40_000n,
    lanes: [0, 1, 2].map((lane) => ({
      lane,
      epoch: BigInt(8 + lane),
      writer: lane,
      lastIndex: 20_000n,
      syncedIndex: 20_000n,
      committedIndex: 20_000n,
      role: lane === replica ? 'writing' : 'follower',
    })),
    peers: [0, 1, 2]
      .filter((peer) => peer !== replica)
      .map((peer) => ({
        replica: peer,
        heard: true,
        hearsUs: true,
        roundTripSeconds: 0.02,
        clockOffsetSeconds: 0.001,
      })),
    disk: { totalBytes: 10n ** 12n, freeBytes: 10n ** 11n, logBytes: 10n ** 6n, segments: 1n },
  });
}

/** The view of three replicas of which `change` has made something else; null: it does not answer. */
function viewOf(change: (all: (StatusResponse | null)[]) => void = () => undefined): InstanceView {
  const all: (StatusResponse | null)[] = [0, 1, 2].map(healthy);
  change(all);
  const answers = all.map((status, replica): StatusAnswer => ({
    region: REGIONS[replica] ?? '',
    address: `10.0.0.${replica}:7401`,
    status,
    error: status === null ? new MeridianError('UNAVAILABLE', 'no connection') : null,
    tookMs: 1,
  }));
  return instanceView({ cluster: 'c', instance: 'i' }, answers, new Date(Number(NOW / 1000n)));
}

function setPeer(
  status: StatusResponse | null | undefined,
  peer: number,
  more: { heard?: boolean; hearsUs?: boolean },
): void {
  const found = status?.peers.find(({ replica }) => replica === peer);
  if (found !== undefined) Object.assign(found, more);
}

describe('the problems of an instance', () => {
  it('are none when all is well', () => {
    expect(problemsOf(viewOf())).toEqual([]);
  });

  it.each<[string, (all: (StatusResponse | null)[]) => void, string]>([
    ['no answer', (all) => (all[1] = null), 'us does not answer: no connection'],
    ['recovery', (all) => Object.assign(all[1] ?? {}, { voting: false }), 'us is recovering'],
    ['a bad clock', (all) => Object.assign(all[2] ?? {}, { clockSafe: false }), 'the clock of ap'],
    [
      'lag',
      (all) => Object.assign(all[0] ?? {}, { watermark: NOW - 60_000_000n }),
      'eu is 60 s behind',
    ],
    ['a replay', (all) => Object.assign(all[0] ?? {}, { backlogEntries: 7n }), '7 entries to go'],
    [
      'a full disk',
      (all) => Object.assign(all[0]?.disk ?? {}, { freeBytes: 1n }),
      'nearly full: 1 B',
    ],
    [
      'missing entries',
      (all) => Object.assign(all[2]?.lanes[0] ?? {}, { syncedIndex: 5n }),
      'ap misses 19995 entries of the lane of eu',
    ],
    [
      'deafness',
      (all) => {
        setPeer(all[0], 1, { heard: false });
      },
      'eu does not hear us directly',
    ],
    [
      'a seal',
      (all) => {
        for (const one of all) Object.assign(one?.lanes[1] ?? {}, { writer: 0 });
      },
      'lane 1 of us is sealed by eu',
    ],
  ])('tell of %s', (_what, change, problem) => {
    const problems = problemsOf(viewOf(change));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });
});

describe('who hears whom', () => {
  it('is known of a replica that does not answer, by what it told the others', () => {
    const { hears } = viewOf((all) => {
      all[1] = null;
      setPeer(all[0], 1, { hearsUs: false });
    });
    expect(hears).toEqual({
      eu: { us: true, ap: true },
      us: { eu: false, ap: true },
      ap: { eu: true, us: true },
    });
  });

  it('is not known between two that do not answer', () => {
    const { hears } = viewOf((all) => {
      all[1] = all[2] = null;
    });
    expect(hears['us']?.['ap']).toBeNull();
  });
});

describe('the impact of a region going down', () => {
  it('is allowed when the others are well, and says what happens', () => {
    const impact = impactOf(viewOf(), 'eu');
    expect(impact).toMatchObject({ allowed: true, reasons: [] });
    expect(impact.effects.join('\n')).toContain('appends in us wait for ap: a round trip of 20 ms');
  });

  it('is not judged by what is wrong with the region itself', () => {
    const view = viewOf((all) => {
      all[0] = null;
    });
    expect(impactOf(view, 'eu').allowed).toBe(true);
    expect(impactOf(view, 'us').reasons).toEqual(
      expect.arrayContaining(['eu does not answer: no connection']),
    );
  });

  it('is refused when the other two only hear each other through it', () => {
    const view = viewOf((all) => {
      setPeer(all[1], 2, { heard: false });
    });
    const { allowed, reasons } = impactOf(view, 'eu');
    expect(allowed).toBe(false);
    expect(reasons).toEqual(['us does not hear ap directly, and nobody else could forward']);
    expect(impactOf(view, 'us').allowed).toBe(true);
  });

  it('is refused while another replica is recovering or far behind', () => {
    const recovering = viewOf((all) => Object.assign(all[1] ?? {}, { voting: false }));
    expect(impactOf(recovering, 'ap').allowed).toBe(false);
    expect(impactOf(recovering, 'us').allowed).toBe(true);
  });

  it('leaves all clients to one region where the other only votes, and says so', () => {
    const view = viewOf((all) => Object.assign(all[2] ?? {}, { witness: true }));
    const { allowed, effects } = impactOf(view, 'eu');
    expect(allowed).toBe(true);
    expect(effects).toContain('all clients use us: ap only votes');
    expect(effects.join('\n')).not.toContain('appends in ap');
    expect(impactOf(view, 'ap').effects.join('\n')).not.toContain('all clients');
    expect(problemsOf(view)).toEqual([]);
    expect(statusText(view, [])).toMatch(/ap +witness/);
  });

  it('is refused when no region would be left that serves clients', () => {
    const view = viewOf((all) => {
      for (const one of all.slice(1)) Object.assign(one ?? {}, { witness: true });
    });
    expect(impactOf(view, 'eu').reasons).toEqual([
      'no region that serves clients would be left: us and ap only vote',
    ]);
    expect(impactOf(view, 'us').allowed).toBe(true);
  });

  it('cannot be judged without the addresses of the others', () => {
    const view = viewOf();
    const partial = { ...view, replicas: view.replicas.slice(0, 2) };
    expect(impactOf(partial, 'eu').reasons).toContain(
      'the addresses of both other regions are needed to judge',
    );
  });
});

describe('the status as text', () => {
  it('shows each replica, the matrix, the lanes and the problems', () => {
    const view = viewOf((all) => {
      all[2] = null;
    });
    const text = statusText(view, problemsOf(view));
    expect(text).toContain('c/i  2026-11-21T15:12:09.000Z  2 of 3 replicas answer');
    expect(text).toMatch(/ap +no answer \(UNAVAILABLE\)/);
    expect(text).toMatch(/eu +20 ms, \+1 ms +20 ms, \+1 ms/);
    expect(text).toMatch(/ap +yes +yes/);
    expect(text).toMatch(/0 +eu +8 +open +20000 \/ 20000 \/ 20000 +20000 \/ 20000 \/ 20000 +-/);
    expect(text).toContain('  ap does not answer: no connection');
  });
});
