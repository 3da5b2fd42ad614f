/**
 * The lives of a data directory since the newest one of which a peer has said that it heard it (SPEC.md §7, M6): one
 * lineage for each peer. By it a directory answers whether a life is its own past, and with how much of the
 * clock it went on after that life, however many lives that nobody heard lie between. Pure: the core keeps a
 * lineage in memory and whoever keeps the log folds the same writes into the same.
 */
import type { Timestamp } from '../values/numbers.ts';
import type { Birth, Descent, Lineage } from './types.ts';

/**
 * Lives in a lineage at most. Of what a directory has lived beyond, unheard, only the newest life is kept: the
 * oldest ones are those by which a copy that is put back is recognised.
 */
export const LINEAGE_MAX = 32;

/** `previous`: the life before, where nothing is known of more (a new directory: 0; one of an earlier version). */
export function born(lineage: Lineage, birth: Birth, previous: number): Lineage {
  const last = lineage.at(-1);
  if (last === undefined) {
    const before = { life: previous, reservation: 0 as Timestamp };
    return birth.life > previous ? [before, birth] : lineage;
  }
  if (birth.life > last.life) return [...lineage.slice(0, LINEAGE_MAX - 1), birth];
  // A frame that is read again, or was written again after a repair.
  const place = lineage.findIndex(({ life }) => life >= birth.life);
  if (place === 0 || lineage[place]?.life === birth.life) return lineage;
  if (lineage.length === LINEAGE_MAX) return lineage;
  return [...lineage.slice(0, place), birth, ...lineage.slice(place)];
}

/** The peer goes by this life: no earlier one matters to it any more. */
export function named(lineage: Lineage, life: number): Lineage {
  const place = lineage.findIndex((birth) => birth.life === life);
  if (place > 0) return lineage.slice(place);
  if (place === 0 || !isInTheGap(lineage, life)) return lineage;
  return [{ life, reservation: 0 as Timestamp }, ...lineage.slice(-1)];
}

/** What the last life of the lineage tells a peer that goes by `life`. */
export function descentFrom(lineage: Lineage, life: number): Descent {
  const own = lineage.at(-1);
  const first = lineage[0];
  if (own === undefined || first === undefined) return { life, reservation: null };
  const place = lineage.findIndex((birth) => birth.life === life);
  const next = place < 0 ? undefined : lineage[place + 1];
  if (next !== undefined) return { life, reservation: next.reservation };
  // Before the first: the peer has named a later one already, so it is the peer that forgot.
  const passes = place >= 0 || life < first.life || isInTheGap(lineage, life);
  return { life, reservation: passes ? own.reservation : null };
}

/** Of a full lineage: between the last life before the present one that was kept, and the present one. */
function isInTheGap(lineage: Lineage, life: number): boolean {
  const [before, own] = lineage.slice(-2);
  if (lineage.length < LINEAGE_MAX || before === undefined || own === undefined) return false;
  return life > before.life && life < own.life;
}
