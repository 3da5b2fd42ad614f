/**
 * Where a segment ends. A pure function of the released entries and of two numbers that stand in the
 * archive's root, so every replica cuts alike, whenever it does so: a segment ends with the entry that
 * fills it, or before the first entry of another window of *log* time. The second keeps an idle journal's
 * last records from waiting for ever; it looks at timestamps in the order, never at a clock.
 */
export interface CutRule {
  /** Bytes of entries after which a segment ends. */
  readonly segmentBytes: number;
  /** Length of a window of log time, microseconds. */
  readonly windowMicros: number;
}

export const CUT_DEFAULTS: CutRule = {
  segmentBytes: 8 * 1024 * 1024,
  windowMicros: 300_000_000,
};

/** The segment that begins at `firstTimestamp` and holds `bytes` ends before an entry at `timestamp`. */
export function endsBefore(
  rule: CutRule,
  segment: { readonly firstTimestamp: number; readonly bytes: number },
  timestamp: number,
): boolean {
  if (segment.bytes >= rule.segmentBytes) return true;
  return windowOf(rule, timestamp) !== windowOf(rule, segment.firstTimestamp);
}

/** No entry can come any more that would belong to it: everything up to the watermark is final. */
export function endsAt(
  rule: CutRule,
  segment: { readonly firstTimestamp: number; readonly bytes: number },
  watermark: number,
): boolean {
  if (segment.bytes >= rule.segmentBytes) return true;
  // A replica that has just started knows no watermark, or one of long ago: that says nothing of the window.
  return windowOf(rule, watermark + 1) > windowOf(rule, segment.firstTimestamp);
}

function windowOf({ windowMicros }: CutRule, timestamp: number): number {
  return Math.floor(timestamp / windowMicros);
}
