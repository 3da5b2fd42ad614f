/** Settings of the archive: where it is, what stays in the log beside it, and what it may use. */
import { z } from 'zod';
import { CUT_DEFAULTS } from '../../libs/archive/cut.ts';
import { placeSettings, placeUrl } from './archive-place.ts';

const MIB = 1024 * 1024;

const bytes = (defaultBytes: number, least: number, most = Number.MAX_SAFE_INTEGER) =>
  z.number().int().min(least).max(most).default(defaultBytes);
const ms = (defaultMs: number, least = 1) =>
  z.number().min(least).max(86_400_000).default(defaultMs);
const count = (defaultCount: number, most: number) =>
  z.number().int().min(1).max(most).default(defaultCount);

export const archiveSchema = z.strictObject({
  url: placeUrl
    .optional()
    .describe(
      'where released entries are archived: file:///directory or s3://bucket/prefix; not at all by default, and then what leaves the log is gone',
    ),
  ...placeSettings,
  localBytes: bytes(4096 * MIB, 4096).describe(
    'log that is kept although it is archived; takes the place of limits.retentionBytes',
  ),
  segmentBytes: bytes(CUT_DEFAULTS.segmentBytes, 4096, 64 * MIB).describe(
    'bytes of entries after which a segment ends; counts for a new archive only',
  ),
  windowMs: ms(CUT_DEFAULTS.windowMicros / 1000, 100).describe(
    'length of the windows of log time that a segment does not cross: an idle journal is archived up to the last whole one; counts for a new archive only',
  ),
  uploadsMax: count(2, 16).describe('segments under way to the archive, each in memory'),
  pollMs: ms(1000, 10).describe('pause when there is nothing to archive'),
  turnMs: ms(3000).describe(
    'time that another replica gets to archive the same, in a bucket that several write to',
  ),
  timeoutMs: ms(30_000, 100).describe('longest wait for one object'),
  cacheBytesMax: bytes(64 * MIB, MIB).describe('segments in memory for readers'),
  fetchesMax: count(4, 64).describe('segments fetched for readers at the same time'),
  readAhead: z
    .number()
    .int()
    .min(0)
    .max(64)
    .default(2)
    .describe('segments fetched ahead of a reader'),
});
