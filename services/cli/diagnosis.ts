/**
 * What is wrong with an instance, in sentences, and whether a region may go down now. Judges only what
 * the replicas say of themselves; pure, so that every judgement has a test.
 */
import { bytesText, durationText } from './units.ts';
import type { InstanceView, ReplicaState, ReplicaView } from './status-view.ts';

export interface Bounds {
  /** A watermark further behind the clock is a problem, milliseconds. */
  readonly lagMs: number;
  /** A replica that misses more entries of a lane is behind. */
  readonly entriesBehind: number;
  /** A disk with less free is nearly full. */
  readonly freeBytes: number;
}

export const BOUNDS: Bounds = {
  lagMs: 5_000,
  entriesBehind: 10_000,
  freeBytes: 256 * 1024 * 1024,
};

/** Nothing: all is well. */
export function problemsOf(view: InstanceView, bounds: Bounds = BOUNDS): string[] {
  const problems: string[] = [];
  for (const replica of view.replicas) {
    problems.push(...ownProblems(replica, view, bounds));
  }
  for (const [listener, row] of Object.entries(view.hears)) {
    for (const [speaker, hears] of Object.entries(row)) {
      if (hears === false && answers(view, speaker) && answers(view, listener)) {
        problems.push(`${listener} does not hear ${speaker} directly`);
      }
    }
  }
  const lanes = view.replicas.find(({ state }) => state !== null)?.state?.lanes ?? [];
  for (const { lane, home, writer, sealed } of lanes) {
    if (sealed) problems.push(`lane ${lane} of ${home} is sealed by ${writer}`);
  }
  return problems;
}

function ownProblems(
  { region, state, error }: ReplicaView,
  view: InstanceView,
  bounds: Bounds,
): string[] {
  if (state === null) return [`${region} does not answer: ${error?.message ?? 'no reason'}`];
  const problems: string[] = [];
  if (!state.voting) problems.push(`${region} is recovering and does not vote`);
  if (!state.clockSafe)
    problems.push(`the clock of ${region} is out of bounds: it takes no appends`);
  if (state.backlogEntries > 0) {
    problems.push(`${region} replays its log: ${state.backlogEntries} entries to go`);
  }
  if (state.watermarkLagMs > bounds.lagMs) {
    problems.push(`${region} is ${durationText(state.watermarkLagMs)} behind`);
  }
  const { freeBytes, totalBytes, space } = state.disk;
  if (space === 'low' || space === 'none') {
    const what = space === 'low' ? 'takes no appends' : 'takes no entries and is in no quorum';
    problems.push(`the disk of ${region} is full (${bytesText(freeBytes)} free): it ${what}`);
  } else if (totalBytes > 0 && freeBytes < bounds.freeBytes) {
    problems.push(`the disk of ${region} is nearly full: ${bytesText(freeBytes)} free`);
  }
  for (const { replica, entries } of state.divergences) {
    problems.push(`${region} and replica ${replica} differ after ${entries} entries: run digest`);
  }
  for (const damage of state.damage.open) problems.push(`${region}: ${damage}`);
  problems.push(...missing(region, state, view, bounds));
  return problems;
}

/** Lanes of which others have much more on disk. */
function missing(
  region: string,
  state: ReplicaState,
  view: InstanceView,
  bounds: Bounds,
): string[] {
  return state.lanes.flatMap(({ lane, home, syncedIndex }) => {
    const most = Math.max(
      ...view.replicas.map(({ state: other }) => other?.lanes[lane]?.syncedIndex ?? 0),
    );
    const behind = most - syncedIndex;
    return behind > bounds.entriesBehind
      ? [`${region} misses ${behind} entries of the lane of ${home}`]
      : [];
  });
}

export interface Impact {
  readonly region: string;
  readonly allowed: boolean;
  /** Why not. */
  readonly reasons: readonly string[];
  /** What happens when it goes down all the same, or is allowed to. */
  readonly effects: readonly string[];
}

/** May this region go down now, without appends or the order stopping elsewhere? */
export function impactOf(view: InstanceView, region: string, bounds: Bounds = BOUNDS): Impact {
  const leaving = view.replicas.find((replica) => replica.region === region);
  const staying = view.replicas.filter((replica) => replica.region !== region);
  const reasons = staying.flatMap((replica) => ownProblems(replica, view, bounds));
  if (staying.length < 2) reasons.push('the addresses of both other regions are needed to judge');
  const serving = staying.filter(({ state }) => state?.witness !== true);
  const clientsMove = staying.length === 2 && leaving?.state?.witness !== true;
  if (clientsMove && serving.length === 0) {
    reasons.push(`no region that serves clients would be left: ${witnesses(staying)} only vote`);
  }
  for (const listener of staying) {
    for (const speaker of staying) {
      if (listener === speaker || !listener.answers || !speaker.answers) continue;
      // With this region gone nobody is left to forward between the other two.
      if (view.hears[listener.region]?.[speaker.region] !== true) {
        reasons.push(
          `${listener.region} does not hear ${speaker.region} directly, and nobody else could forward`,
        );
      }
    }
  }
  const effects = effectsOf(leaving, staying);
  const [alone] = serving;
  if (clientsMove && serving.length === 1 && alone !== undefined) {
    effects.push(`all clients use ${alone.region}: ${witnesses(staying)} only votes`);
  }
  return { region, allowed: reasons.length === 0, reasons, effects };
}

function witnesses(replicas: readonly ReplicaView[]): string {
  const names = replicas.filter(({ state }) => state?.witness === true);
  return names.map(({ region }) => region).join(' and ');
}

function effectsOf(leaving: ReplicaView | undefined, staying: readonly ReplicaView[]): string[] {
  if (leaving === undefined) return [];
  const effects: string[] = [];
  const { state } = leaving;
  if (state === null) effects.push(`${leaving.region} does not answer already`);
  else {
    effects.push(
      `the lane of ${leaving.region} is sealed; until then the order waits (seal timeout)`,
    );
    if (state.sessions + state.readers > 0) {
      effects.push(
        `${state.sessions} append sessions and ${state.readers} reads go on at another region`,
      );
    }
  }
  for (const { region, state: other } of staying) {
    if (other?.witness === true) continue;
    const last = staying.find((each) => each.region !== region);
    const trip = other?.peers.find((peer) => peer.region === last?.region)?.roundTripMs;
    if (last === undefined || trip === null || trip === undefined) continue;
    effects.push(
      `appends in ${region} wait for ${last.region}: a round trip of ${durationText(trip)}`,
    );
  }
  return effects;
}

function answers(view: InstanceView, region: string): boolean {
  return view.replicas.some((replica) => replica.region === region && replica.answers);
}
