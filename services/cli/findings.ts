/**
 * What a doctor says: each problem with what it means and what to do. Judges what was asked before
 * (status of replicas and sidecars, certificates); pure, so that every judgement has a test.
 */
import { problemsOf } from './diagnosis.ts';
import type { InstanceView } from './status-view.ts';
import { durationText } from './units.ts';

export interface Finding {
  readonly problem: string;
  readonly advice: string;
}

export interface CertificateSeen {
  /** `own`, or the region of a replica. */
  readonly of: string;
  /** Milliseconds since 1970; null: it was not to be had. */
  readonly expiresAt: number | null;
}

export interface SidecarSeen {
  readonly address: string;
  /** By role; empty when it did not answer. */
  readonly roles: readonly {
    readonly role: string;
    readonly state: string;
    readonly error: string;
  }[];
  /** Why it did not answer. */
  readonly error: string | null;
}

export interface Examined {
  readonly view: InstanceView;
  /** null: calls go in the clear. */
  readonly certificates: readonly CertificateSeen[] | null;
  readonly sidecars: readonly SidecarSeen[];
  /** Milliseconds since 1970. */
  readonly now: number;
}

const DAY_MS = 86_400_000;
/** Time enough for a person to renew one. */
const EXPIRES_SOON_MS = 7 * DAY_MS;
const WELL = { ship: 'streaming', apply: 'applying' } as const;

/** The first that fits; the last fits everything. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [
    /certificate|UNAUTHENTICATED|TLS|issuer/,
    'who talks to whom is a matter of certificates: `meridian certs show FILE` says whom one names; compare cluster, instance and region',
  ],
  [
    /does not answer/,
    'is the process up, and its port reachable from here? Its log tells why it stopped; the other two regions go on meanwhile',
  ],
  [
    /recovering/,
    'it lost its directory and copies it from both others, which must be up; nothing is to be done unless one of them is down too',
  ],
  [
    /clock/,
    'compare its time with the other two (chronyc tracking); it takes appends again by itself when it agrees with them',
  ],
  [/replays its log/, 'it has just started and is reading; wait'],
  [
    /disk .* full/,
    'make room or a larger volume: appends go on by themselves; retention and trim give up old log',
  ],
  [
    /does not hear/,
    'one link is down, the third region forwards; look at the network between the two, in that direction',
  ],
  [/is sealed by/, 'its home is away or cut off; it takes the lane back by itself when it returns'],
  [
    /behind|misses/,
    'a slow disk (syncLatency of `meridian status`), a slow link, or a replica that was away and catches up',
  ],
  [
    /damage/,
    'bytes on its disk are not what was written; it mends them from the others, but distrust the disk',
  ],
  [/.*/, 'look at `meridian status` and the log of the process'],
];

/** Nothing: all is well. */
export function findingsOf(examined: Examined): Finding[] {
  const { view, certificates, sidecars, now } = examined;
  const problems = problemsOf(view).map((problem) => ({ problem, advice: adviceFor(problem) }));
  return [
    ...problems,
    ...versionFindings(view),
    ...(certificates ?? []).flatMap((seen) => certificateFindings(seen, now)),
    ...sidecars.flatMap(sidecarFindings),
  ];
}

export function adviceFor(problem: string): string {
  return ADVICE.find(([pattern]) => pattern.test(problem))?.[1] ?? '';
}

function versionFindings({ replicas }: InstanceView): Finding[] {
  const versions = replicas.flatMap(({ region, state }) =>
    state === null ? [] : [{ region, version: state.version }],
  );
  if (new Set(versions.map(({ version }) => version)).size <= 1) return [];
  const list = versions.map(({ region, version }) => `${region} ${version}`).join(', ');
  const advice = 'routine while one is brought up to date after the other; otherwise finish that';
  return [{ problem: `the replicas are of different versions: ${list}`, advice }];
}

function certificateFindings({ of, expiresAt }: CertificateSeen, now: number): Finding[] {
  if (expiresAt === null || expiresAt - now > EXPIRES_SOON_MS) return [];
  const whose = of === 'own' ? 'the certificate of this client' : `the certificate of ${of}`;
  const left = expiresAt - now;
  const when = left <= 0 ? 'has expired' : `expires in ${durationText(left)}`;
  const advice = 'renew it (`meridian certs issue`) and replace the files: no restart is needed';
  return [{ problem: `${whose} ${when}`, advice }];
}

function sidecarFindings({ address, roles, error }: SidecarSeen): Finding[] {
  if (error !== null) {
    const problem = `the sidecar at ${address} does not answer: ${error}`;
    return [{ problem, advice: adviceFor(problem) }];
  }
  return roles
    .filter(({ role, state }) => state !== WELL[role as keyof typeof WELL])
    .map(({ role, state, error: why }) => ({
      problem: `the sidecar at ${address}: ${role} is ${state}${why === '' ? '' : `: ${why}`}`,
      advice: why.includes('FENCED')
        ? 'another sidecar has taken over the stream: see that only one ships'
        : /REFUSED|PERMISSION_DENIED|OUT_OF_RANGE|CONFLICT/.test(why)
          ? 'it waits for a person: do what the message says, then start it again'
          : 'it tries again by itself; look at the database and at the replicas it ships to',
    }));
}
