/**
 * Found by fuzzing (test/fuzz, target `checkpoint`, in its first second): the head of a checkpoint was
 * parsed and believed. A peer whose head lacked a field, or was no JSON at all, ended the replica that took
 * it over with a SyntaxError or a TypeError, where it should have said CORRUPT and asked another one.
 */
import { describe, expect, it } from 'vitest';
import { at } from '../../libs/values/assert.ts';
import { epoch, index, timestamp } from '../../libs/values/numbers.ts';
import { headSection, loadSections, newHead, readHead } from './checkpoint-sections.ts';
import { LogState } from './log-state.ts';

const mark = { epoch: epoch(9), index: index(3), timestamp: timestamp(80) };
const lane = {
  base: mark,
  released: mark,
  epochs: [{ epoch: epoch(9), from: index(1) }],
  after: null,
};
const head = newHead({
  watermark: timestamp(80),
  count: 4,
  lastTimestamp: timestamp(80),
  segment: 2,
  lanes: [lane, lane, { ...lane, after: { segment: 1, offset: 64 } }],
  state: new LogState(0).copy(),
});

function sectionOf(value: unknown): Uint8Array {
  return Buffer.concat([headSection(head).subarray(0, 1), Buffer.from(JSON.stringify(value))]);
}

describe('the head of a checkpoint', () => {
  it('is read as it was written', () => {
    expect(readHead(headSection(head))).toEqual(head);
  });

  it('of another version is refused by its number', () => {
    expect(() => readHead(sectionOf({ ...head, version: 99 }))).toThrow(
      expect.objectContaining({ reason: 'REFUSED' }),
    );
  });

  it.each<[string, unknown]>([
    ['is null', null],
    ['is a list', []],
    ['has no version', { ...head, version: undefined }],
    ['has no lanes', { ...head, lanes: undefined }],
    ['has two lanes', { ...head, lanes: head.lanes.slice(1) }],
    ['has a lane without a mark', { ...head, lanes: [lane, lane, { ...lane, released: null }] }],
    ['has a mark without a number', { ...head, lanes: [{ ...lane, base: {} }, lane, lane] }],
    ['has a place that is none', { ...head, lanes: [{ ...lane, after: 5 }, lane, lane] }],
    ['counts below zero', { ...head, count: -1 }],
    ['counts in fractions', { ...head, count: 0.5 }],
    ['knows no promises', { ...head, state: { ...head.state, promised: [1] } }],
    ['has no state', { ...head, state: null }],
  ])('is CORRUPT when it %s', (_what, value) => {
    expect(() => readHead(sectionOf(value))).toThrow(
      expect.objectContaining({ reason: 'CORRUPT' }),
    );
  });

  it.each([
    ['nothing', []],
    ['no head', [Buffer.from([2])]],
    ['a head that is no JSON', [Buffer.from([1])]],
    ['a section that ends too early', [headSection(head), Buffer.from([4, 0xff])]],
  ])('is CORRUPT with %s', (_what, sections) => {
    expect(() => loadSections(sections, 1024)).toThrow(
      expect.objectContaining({ reason: 'CORRUPT' }),
    );
  });

  it('is told by its first byte', () => {
    expect(at([...headSection(head)], 0)).toBe(1);
  });
});
