/** Settings of a janitor that runs all the time: which archives, and what may go there. */
import { z } from 'zod';
import { isLoopback } from '../../libs/config/security.ts';
import { address, logLevel, name } from '../../libs/config/service-settings.ts';
import { placeSettings, placeUrl } from './archive-place.ts';

const HOUR_MS = 3_600_000;
const YEARS_10_MS = 10 * 365 * 24 * HOUR_MS;

const ms = (defaultMs: number, least: number) =>
  z.number().min(least).max(YEARS_10_MS).default(defaultMs);

const archive = z.strictObject({ url: placeUrl, ...placeSettings });

export const janitorSchema = z
  .strictObject({
    cluster: name.describe('name of the cluster whose archives these are'),
    archives: z
      .array(archive)
      .min(1)
      .max(1000)
      .describe('url of each archive, keysFile and, of a bucket, region, endpoint, pathStyle'),
    retentionMs: ms(0, 0).describe(
      'age in log time up to which entries are kept, back from the last archived one; 0: any age',
    ),
    retentionBytes: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe('bytes of segments that are kept in each archive; 0: any number'),
    trims: z.boolean().default(true).describe('what every stream has trimmed goes'),
    unnamedMs: ms(7 * 24 * HOUR_MS, 0)
      .nullable()
      .describe('what was uploaded this long ago and never named goes; null: stays'),
    graceMs: ms(HOUR_MS, 1000).describe(
      'time that readers of older manifests have before an object is deleted',
    ),
    roundMs: ms(HOUR_MS, 100).describe('pause between two rounds through all archives'),
    timeoutMs: ms(60_000, 100).describe('longest wait for one object'),
    metricsListen: address
      .refine(isLoopback, 'expected a loopback address: it is served in the clear')
      .optional()
      .describe('where /metrics, /livez and /readyz are served; not at all by default'),
    logLevel,
  })
  .superRefine(({ archives }, context) => {
    const seen = new Set<string>();
    archives.forEach(({ url, endpoint }, position) => {
      const place = `${endpoint ?? ''} ${url.replace(/\/$/, '')}`;
      if (seen.has(place)) {
        const message = `expected another archive, found ${url} again`;
        context.addIssue({ code: 'custom', path: ['archives', position, 'url'], message });
      }
      seen.add(place);
    });
  });

export type JanitorConfig = z.output<typeof janitorSchema>;
