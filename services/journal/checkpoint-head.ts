/**
 * Whether what stands at the beginning of a checkpoint can be a head. It is JSON and may have come from a
 * peer, so nothing about it is believed: a field that is missing would otherwise be noticed far from
 * here, by an exception that nobody expects.
 */
import { LINEAGE_MAX } from '../../libs/lane/lineage.ts';
import type { CheckpointHead } from './checkpoint-sections.ts';

const LANES = 3;

/** Of a head of the version that this program knows. */
export function isHead(value: unknown): value is CheckpointHead {
  if (!isObject(value)) return false;
  const { watermark, count, lastTimestamp, segment, lanes, state } = value;
  return (
    [watermark, count, lastTimestamp, segment].every(isCount) &&
    Array.isArray(lanes) &&
    lanes.length === LANES &&
    lanes.every(isLane) &&
    isState(state)
  );
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isLane(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { base, released, epochs, after } = value;
  return (
    isMark(base) &&
    isMark(released) &&
    Array.isArray(epochs) &&
    epochs.every((run) => isObject(run) && isCount(run['epoch']) && isCount(run['from'])) &&
    (after === null || (isObject(after) && isCount(after['segment']) && isCount(after['offset'])))
  );
}

function isMark(value: unknown): boolean {
  return isObject(value) && [value['epoch'], value['index'], value['timestamp']].every(isCount);
}

function isState(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { promised, reservation, incarnations, voting, heard, lineages } = value;
  return (
    isRow(promised) &&
    isCount(reservation) &&
    isRow(incarnations) &&
    typeof voting === 'boolean' &&
    (heard === undefined || isHeard(heard)) &&
    (lineages === undefined || isLineages(lineages))
  );
}

function isHeard(value: unknown): boolean {
  const isLife = (one: unknown): boolean =>
    isObject(one) && isCount(one['life']) && isCount(one['clock']);
  return Array.isArray(value) && value.length === LANES && value.every(isLife);
}

function isLineages(value: unknown): boolean {
  const isBirth = (one: unknown): boolean =>
    isObject(one) && isCount(one['life']) && isCount(one['reservation']);
  const isLineage = (one: unknown): boolean =>
    Array.isArray(one) && one.length <= LINEAGE_MAX && one.every(isBirth);
  return Array.isArray(value) && value.length === LANES && value.every(isLineage);
}

function isRow(value: unknown): boolean {
  return Array.isArray(value) && value.length === LANES && value.every(isCount);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
