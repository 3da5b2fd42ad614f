/** What a directory knows of its own lives (SPEC.md §7, M6). */
import { describe, expect, it } from 'vitest';
import { timestamp } from '../values/numbers.ts';
import { LINEAGE_MAX, born, descentFrom, named } from './lineage.ts';
import type { Lineage } from './types.ts';

/** Lives of these numbers, each begun with ten times its number reserved. */
function lineageOf(...lives: number[]): Lineage {
  return lives.reduce<Lineage>((lineage, life) => bear(lineage, life), []);
}
const bear = (lineage: Lineage, life: number): Lineage =>
  born(lineage, { life, reservation: timestamp(life * 10) }, 0);
const listed = (lineage: Lineage): number[] => lineage.map(({ life }) => life);

describe('a lineage', () => {
  it('answers for a life with what the one after it began with, however many came then', () => {
    const lineage = lineageOf(3, 5, 8);
    expect(descentFrom(lineage, 3)).toEqual({ life: 3, reservation: 50 });
    expect(descentFrom(lineage, 5)).toEqual({ life: 5, reservation: 80 });
    expect(descentFrom(lineage, 0)).toEqual({ life: 0, reservation: 30 });
    expect(descentFrom(lineage, 8)).toEqual({ life: 8, reservation: 80 });
  });

  it('does not know a life of another past, nor one to come', () => {
    for (const life of [2, 4, 7, 9]) {
      expect(descentFrom(lineageOf(3, 5, 8), life).reservation).toBeNull();
    }
  });

  it('begins with what the peer has named, and lets a peer go by less that has forgotten it', () => {
    const lineage = named(lineageOf(3, 5, 8), 5);
    expect(listed(lineage)).toEqual([5, 8]);
    expect(descentFrom(lineage, 3).reservation).toBe(80);
    expect(named(lineage, 3)).toBe(lineage);
    expect(named(lineage, 6)).toBe(lineage);
    expect(listed(named(lineage, 8))).toEqual([8]);
  });

  it('of an earlier version begins with the life before', () => {
    const lineage = born([], { life: 9, reservation: timestamp(90) }, 7);
    expect(descentFrom(lineage, 7).reservation).toBe(90);
    expect(descentFrom(lineage, 6).reservation).toBe(90);
    expect(descentFrom(lineage, 8).reservation).toBeNull();
  });

  it('takes what is read or written again once, in its place, and nothing from before its first', () => {
    const lineage = named(lineageOf(3, 5, 8), 5);
    for (const life of [2, 3, 5, 8]) expect(bear(lineage, life)).toBe(lineage);
    expect(listed(bear(lineage, 7))).toEqual([5, 7, 8]);
    expect(born([], { life: 3, reservation: timestamp(30) }, 7)).toEqual([]);
  });

  it('keeps the oldest lives and the present one when it is full, and passes those between', () => {
    const lives = Array.from({ length: LINEAGE_MAX + 20 }, (_, i) => 2 * i + 1);
    const lineage = lineageOf(...lives);
    expect(lineage).toHaveLength(LINEAGE_MAX);
    const own = lives.at(-1) ?? 0;
    expect(listed(lineage).slice(0, 3)).toEqual([0, 1, 3]);
    expect(descentFrom(lineage, 2).reservation).toBeNull();
    for (const life of lives.slice(0, 5)) {
      expect(descentFrom(lineage, life).reservation).toBe((life + 2) * 10);
    }
    for (const life of lives) {
      const { reservation } = descentFrom(lineage, life);
      expect(reservation).toBeGreaterThanOrEqual(Math.min(life + 2, own) * 10);
      expect(descentFrom(named(lineage, life), life).reservation).not.toBeNull();
      expect(descentFrom(bear(named(lineage, life), own + 2), life).reservation).not.toBeNull();
    }
  });
});
