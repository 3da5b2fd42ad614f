import { describe, expect, it } from 'vitest';
import type { MergedEntry } from './merged-entry.ts';
import { Window } from './window.ts';

const entry = (timestamp: number, instance = 1, bytes = 100): MergedEntry => ({
  timestamp,
  instance,
  frames: new Uint8Array(bytes),
  gap: null,
  change: null,
});

describe('the window', () => {
  it('keeps what fits, and says from where on it is complete', () => {
    const window = new Window(1000, { timestamp: 5, instance: 2 });
    expect(window.covers({ timestamp: 5, instance: 2 })).toBe(true);
    expect(window.covers({ timestamp: 5, instance: 1 })).toBe(false);
    for (let at = 10; at <= 60; at += 10) window.append(entry(at));
    expect(window.bytes).toBeLessThanOrEqual(1000);
    expect(window.floor).toEqual({ timestamp: 30, instance: 1 });
    expect([window.first, window.end]).toEqual([3, 6]);
    expect(window.covers({ timestamp: 29, instance: 9 })).toBe(false);
    expect(window.get(3).timestamp).toBe(40);
    expect(() => window.get(2)).toThrow('entry 2 is in the window');
  });

  it('finds the first entry after any position', () => {
    const window = new Window(100_000, { timestamp: 0, instance: 2 });
    for (const at of [10, 20, 30]) {
      window.append(entry(at, 1));
      window.append(entry(at, 2));
    }
    expect(window.locate({ timestamp: 0, instance: 2 })).toBe(0);
    expect(window.locate({ timestamp: 10, instance: 1 })).toBe(1);
    expect(window.locate({ timestamp: 15, instance: 2 })).toBe(2);
    expect(window.locate({ timestamp: 30, instance: 1 })).toBe(5);
    expect(window.locate({ timestamp: 99, instance: 1 })).toBe(6);
  });

  it('keeps its numbers while old entries leave, over many of them', () => {
    const window = new Window(3000, { timestamp: 0, instance: 2 });
    for (let at = 1; at <= 1000; at += 1) {
      window.append(entry(at));
      expect(window.get(window.end - 1).timestamp).toBe(at);
      expect(window.get(window.first).timestamp).toBe(window.first + 1);
    }
    expect(window.end - window.first).toBe(10);
  });

  it('passes an entry through that is larger than itself', () => {
    const window = new Window(1000, { timestamp: 0, instance: 2 });
    window.append(entry(1, 1, 5000));
    expect([window.first, window.end, window.bytes]).toEqual([1, 1, 0]);
    expect(window.floor).toEqual({ timestamp: 1, instance: 1 });
  });

  it('packs neighbours into one piece, once for everybody, up to a size or a gap', () => {
    const window = new Window(100_000, { timestamp: 0, instance: 2 });
    for (let at = 1; at <= 6; at += 1) {
      const gap = { kind: 'lost', name: 'i1', from: at, to: at } as const;
      window.append(at === 4 ? { ...entry(at), gap } : entry(at));
    }
    const run = window.run(0, 150);
    expect(run?.frames.length).toBe(200);
    expect([run?.first.timestamp, run?.last.timestamp, run?.next]).toEqual([1, 2, 2]);
    expect(window.run(0, 150)).toBe(run);
    expect(window.run(1, 1000)?.next).toBe(3);
    expect(window.run(3, 1000)).toBeNull();
    const tail = window.run(4, 1000);
    window.append(entry(7));
    expect(window.run(4, 1000)?.next).toBe((tail?.next ?? 0) + 1);
  });

  it('refuses an entry against the order', () => {
    const window = new Window(1000, { timestamp: 5, instance: 2 });
    expect(() => {
      window.append(entry(5, 2));
    }).toThrow('in the order');
  });
});
