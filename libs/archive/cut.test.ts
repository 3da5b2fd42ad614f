import { describe, expect, it } from 'vitest';
import { endsAt, endsBefore } from './cut.ts';

const RULE = { segmentBytes: 100, windowMicros: 1000 };

describe('a segment', () => {
  it('ends with the entry that fills it', () => {
    expect(endsBefore(RULE, { firstTimestamp: 5, bytes: 99 }, 6)).toBe(false);
    expect(endsBefore(RULE, { firstTimestamp: 5, bytes: 100 }, 6)).toBe(true);
  });

  it('ends before the first entry of another window of log time', () => {
    expect(endsBefore(RULE, { firstTimestamp: 1500, bytes: 1 }, 1999)).toBe(false);
    expect(endsBefore(RULE, { firstTimestamp: 1500, bytes: 1 }, 2000)).toBe(true);
  });

  it('ends without a next entry once the watermark says that none can come into its window', () => {
    expect(endsAt(RULE, { firstTimestamp: 1500, bytes: 1 }, 1998)).toBe(false);
    expect(endsAt(RULE, { firstTimestamp: 1500, bytes: 1 }, 1999)).toBe(true);
  });

  // A replica started behind a checkpoint, and its archiver looked before the first watermark: 0 lies in
  // another window than the segment, which was ended in its middle and differed from everybody else's. With
  // a shared bucket the others would have found foreign bytes there, and archiving would have stopped.
  it('does not end because of a watermark of earlier windows', () => {
    for (const watermark of [0, 400, 999, 1499]) {
      expect(endsAt(RULE, { firstTimestamp: 1500, bytes: 1 }, watermark)).toBe(false);
    }
    expect(endsAt(RULE, { firstTimestamp: 1500, bytes: 100 }, 0)).toBe(true);
  });
});
