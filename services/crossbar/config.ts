/** Settings of a crossbar. */
import { z } from 'zod';
import { checkSecurity, securitySettings } from '../../libs/config/security.ts';
import { address, logLevel, metricsListen, ms, name } from '../../libs/config/service-settings.ts';

const MIB = 1024 * 1024;

const bytes = (defaultBytes: number): z.ZodDefault<z.ZodNumber> =>
  z
    .number()
    .int()
    .min(64 * 1024)
    .max(64 * 1024 * MIB)
    .default(defaultBytes);
const count = (defaultCount: number): z.ZodDefault<z.ZodNumber> =>
  z.number().int().min(1).max(100_000).default(defaultCount);

const instance = z.strictObject({
  name,
  number: z.number().int().min(1).max(65_535),
  replicas: z.array(z.strictObject({ region: name, address })).min(1),
});

const timings = z.strictObject({
  progressIntervalMs: ms(5, 0).describe('shortest time between two messages of mere progress'),
  stallAfterMs: ms(1000, 2).describe('standstill of the watermark after which it is told by name'),
  stallRepeatMs: ms(1000).describe('how often that is told again'),
  retryMs: ms(500).describe('pause before an instance that cannot be followed is tried again'),
  silenceMs: ms(2000).describe('silence of a replica after which another one is read'),
  slowReaderMs: ms(30_000).describe(
    'longest time a subscriber may leave what waits for it untouched; then it is cut off',
  ),
  catchUpTurnMs: ms(1000, 0).describe(
    'how long a subscriber may read the instances for itself while others wait for that',
  ),
  heartbeatTimeoutMs: ms(5000).describe('longest wait for the read point of an instance'),
  drainMs: ms(2000, 0).describe('longest wait for open calls when going down'),
});

const limits = z.strictObject({
  windowBytesMax: bytes(64 * MIB).describe('newest entries kept in memory, for all subscribers'),
  inputBytesMax: bytes(16 * MIB).describe(
    'entries of one instance that wait for another instance, per merge',
  ),
  subscribersMax: count(256).describe('subscribers at once'),
  catchUpsMax: count(8).describe('subscribers at once that are too far behind for the window'),
  subscriberBytesMax: bytes(MIB).describe("bytes that may wait for one subscriber's connection"),
  subscribersBytesMax: bytes(64 * MIB).describe('bytes that may wait for all of them together'),
  waitersMax: count(10_000).describe('calls at once that wait for a place in the order'),
  streamsPerSubscriberMax: count(1000).describe('streams that a subscriber may name'),
});

export const crossbarSchema = z
  .strictObject({
    cluster: name.describe('name of the cluster'),
    region: name.describe('region of this crossbar; replicas there are read first'),
    listen: address.describe('where subscribers are served'),
    instances: z
      .array(instance)
      .min(1)
      .max(255)
      .describe(
        'the instances that the database began with: name, number and replicas (region, address) of each',
      ),
    joined: z
      .array(instance)
      .max(255)
      .default([])
      .describe(
        'where instances that joined later are now, if no more where they were then; like instances',
      ),
    metricsListen,
    logLevel,
    timings: timings.prefault({}),
    limits: limits.prefault({}),
    ...securitySettings,
  })
  .superRefine((config, context) => {
    const { instances, joined, listen } = config;
    checkSecurity(config, { listen }, (path, message) => {
      context.addIssue({ code: 'custom', path, message });
    });
    const seen = { name: new Set<string | number>(), number: new Set<string | number>() };
    for (const [where, list] of Object.entries({ instances, joined })) {
      for (const [position, each] of list.entries()) {
        const refuse = (key: string, message: string): void => {
          context.addIssue({ code: 'custom', path: [where, position, key], message });
        };
        for (const key of ['name', 'number'] as const) {
          if (seen[key].has(each[key])) {
            refuse(key, `expected a ${key} that no other instance has, found ${each[key]} again`);
          }
          seen[key].add(each[key]);
        }
        const regions = new Set(each.replicas.map(({ region }) => region));
        if (regions.size < each.replicas.length) {
          refuse('replicas', 'expected replicas in different regions');
        }
      }
    }
  });

export type CrossbarConfig = z.output<typeof crossbarSchema>;
