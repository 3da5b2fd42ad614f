/**
 * What is wrong with an instance, as sentences, from what its replicas say of themselves. Only states what
 * somebody may have to do something about; empty when all is well.
 */
import { duration } from './format.js';

/** A watermark further behind than this is worth a word; the beacons alone make some tens of ms. */
const LAG_SECONDS = 2;
const DISK_FREE_SHARE = 0.1;

/** Each `{ severe, text }`; severe: a promise is at stake or a region is away. */
export function findingsOf(overview) {
  const { replicas } = overview;
  const findings = [];
  const say = (severe, text) => findings.push({ severe, text });
  const regionOf = (replica) => replicas[replica]?.region ?? `replica ${replica}`;
  for (const { region, view } of replicas) {
    if (view === null) {
      say(true, `Region ${region} does not answer.`);
      continue;
    }
    const { status, obstacle, forwardedVia } = view;
    if (obstacle !== '') say(true, `Region ${region} takes no appends: ${obstacle}.`);
    if (!status.voting) say(true, `Region ${region} is recovering and does not vote.`);
    if (!status.clockSafe) say(true, `The clock of region ${region} is out of bounds.`);
    if (forwardedVia !== '') say(false, `Region ${forwardedVia} forwards for region ${region}.`);
    const lag = lagOf(status);
    if (lag > LAG_SECONDS) say(false, `The order is ${duration(lag)} behind in region ${region}.`);
    const { freeBytes, totalBytes } = status.disk ?? {};
    if (Number(freeBytes) < Number(totalBytes) * DISK_FREE_SHARE) {
      say(false, `The disk of region ${region} is nearly full.`);
    }
  }
  for (const [from, to] of pairs(replicas)) {
    const hears = hearing(from, to);
    if (hears === false && from.view !== null && to.view !== null) {
      say(false, `Region ${from.region} does not hear region ${to.region}.`);
    }
  }
  for (const lane of newestLanes(replicas)) {
    if (lane.writer !== lane.lane) {
      const home = regionOf(lane.lane);
      say(false, `The lane of region ${home} is sealed by region ${regionOf(lane.writer)}.`);
    }
  }
  for (const text of differences(replicas)) say(true, text);
  return findings;
}

/** How far the order is behind the wall clock of its replica, in seconds. */
export function lagOf(status) {
  return Math.max(0, (Number(status.wallClock) - Number(status.watermark)) / 1e6);
}

/** Whether `listener` hears `speaker`: its own word, else that of the speaker; null: nobody says. */
export function hearing(listener, speaker) {
  const own = listener.view?.status.peers.find(({ replica }) => replica === speaker.replica);
  if (own !== undefined) return own.heard;
  const said = speaker.view?.status.peers.find(({ replica }) => replica === listener.replica);
  return said === undefined || !said.heard ? null : said.hearsUs;
}

/** Every ordered pair of different replicas. */
export function pairs(replicas) {
  return replicas.flatMap((from) => replicas.filter((to) => to !== from).map((to) => [from, to]));
}

/** Of each lane the view of whoever knows its newest epoch. */
export function newestLanes(replicas) {
  const newest = new Map();
  for (const { view } of replicas) {
    for (const lane of view?.status.lanes ?? []) {
      const known = newest.get(lane.lane);
      if (known === undefined || Number(lane.epoch) > Number(known.epoch))
        newest.set(lane.lane, lane);
    }
  }
  return [...newest.values()].sort((a, b) => a.lane - b.lane);
}

/** Hashes of the same number of released entries must be the same everywhere. */
function differences(replicas) {
  const hashes = new Map();
  const texts = new Set();
  for (const { region, view } of replicas) {
    for (const { entries, hash } of view?.status.releasePoints ?? []) {
      const first = hashes.get(entries);
      if (first === undefined) hashes.set(entries, { region, hash });
      else if (first.hash !== hash) {
        texts.add(`Regions ${first.region} and ${region} have released different records.`);
      }
    }
  }
  return texts;
}
