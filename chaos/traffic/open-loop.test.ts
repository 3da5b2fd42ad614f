import { describe, expect, it, vi } from 'vitest';
import { openLoop } from './open-loop.ts';

describe('an open loop', () => {
  it('goes on sending while nothing is answered, up to its bound, and then waits for the answers', async () => {
    vi.useFakeTimers();
    try {
      const answers: (() => void)[] = [];
      const numbers: number[] = [];
      const over = new AbortController();
      const rates = { appendsPerSecond: 1_000, readsPerSecond: 0, openMax: 5 };
      let ended = false;
      const loop = openLoop(rates, over.signal, {
        append: (number) => {
          numbers.push(number);
          return new Promise((resolve) => answers.push(resolve));
        },
        read: () => Promise.resolve(),
      }).then(() => {
        ended = true;
      });
      await vi.advanceTimersByTimeAsync(100);
      expect(numbers).toEqual([0, 1, 2, 3, 4]);
      answers.splice(0).forEach((answer) => {
        answer();
      });
      await vi.advanceTimersByTimeAsync(50);
      expect(numbers).toHaveLength(10); // what was due meanwhile was left out
      over.abort();
      await vi.advanceTimersByTimeAsync(50);
      expect(ended).toBe(false);
      answers.forEach((answer) => {
        answer();
      });
      await loop;
    } finally {
      vi.useRealTimers();
    }
  });
});
