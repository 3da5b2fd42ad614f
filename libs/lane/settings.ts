/** Defaults of the lane core's settings; units and meaning stand with `LaneSettings`. */
import type { LaneSettings } from './types.ts';

export const defaultSettings: LaneSettings = {
  beacon: 40_000,
  lazy: 10_000,
  detour: 150_000,
  sealTimeout: 300_000,
  resend: 200_000,
  reserve: 1_000_000,
  maxClockOffset: 500_000,
  maxClockError: null,
  entryBytesMax: 1 << 20,
  inflightBytesMax: 64 << 20,
  queueBytesMax: 64 << 20,
  feedBytesMax: 16 << 20,
  hotEntriesMax: 1024,
};
