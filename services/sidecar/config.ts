/** Settings of a sidecar. */
import { z } from 'zod';
import { checkSecurity, securitySettings } from '../../libs/config/security.ts';
import { address, logLevel, metricsListen, ms, name } from '../../libs/config/service-settings.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;

/** What Postgres takes as a slot's name; the writer id must hold it too. */
const slotName = z
  .string()
  .regex(/^[a-z0-9_]{1,28}$/, 'expected 1 to 28 lower-case letters, digits or underscores');
const identifier = z.string().min(1).max(63);
const bytes = (defaultBytes: number): z.ZodDefault<z.ZodNumber> =>
  z
    .number()
    .int()
    .min(64 * 1024)
    .max(4096 * MIB)
    .default(defaultBytes);
const table = z
  .string()
  .regex(/^[^.]+\.[^.]+$/, 'expected schema.table')
  .transform((text) => {
    const [schema = '', tableName = ''] = text.split('.');
    return { schema, table: tableName };
  });

/** A checked string and no enum, so that `--roles ship,apply` is a list like others. */
const role = z
  .string()
  .regex(/^(ship|apply)$/, 'expected ship or apply')
  .transform((text): 'ship' | 'apply' => (text === 'ship' ? 'ship' : 'apply'));

const instance = z.strictObject({
  name,
  replicas: z.array(z.strictObject({ region: name, address })).min(1),
});

const ship = z.strictObject({
  slot: slotName.default('meridian').describe('replication slot; made when it is missing'),
  publication: identifier.default('meridian').describe('publication; made when it is missing'),
  tables: z
    .array(table)
    .default([])
    .describe('tables to ship, as schema.table; none: all, those to come included'),
  definitions: z
    .boolean()
    .default(true)
    .describe('ship definitions (DDL) too, by event triggers; only where all tables are shipped'),
  applicationName: identifier
    .default('meridian')
    .describe('name of the replication session, for synchronous_standby_names'),
  synchronous: z
    .boolean()
    .default(false)
    .describe('COMMIT waits for the journal: sets synchronous_standby_names'),
  leaseMs: z
    .number()
    .min(500)
    .max(60_000)
    .default(5_000)
    .describe(
      'the lease of the stream: how long after its last sign of life another may take over',
    ),
  windowBytesMax: bytes(32 * MIB).describe('changes that may wait for the journal'),
  batchBytesMax: bytes(MIB).describe('largest batch; as in the journal or below'),
  keepAliveMs: z
    .number()
    .min(100)
    .max(24 * HOUR_MS)
    .default(10 * 60_000)
    .describe('longest time without a sign of life in the journal, which forgets silent writers'),
});

const apply = z.strictObject({
  name: z
    .string()
    .regex(/^[\w-]{1,40}$/, 'expected 1 to 40 letters, digits, dashes or underscores')
    .default('default')
    .describe('name of the position in meridian.applied'),
  crossbars: z
    .array(address)
    .default([])
    .describe('follow the merged order of these crossbars (nearest first), not one instance'),
  queueBytesMax: bytes(32 * MIB).describe('changes that may wait to be applied'),
  mergeBytesMax: bytes(MIB).describe('changes applied in one local transaction at most'),
  saveProgressMs: ms(5_000).describe('how often the position of an idle stream is stored'),
  sqlWait: z.boolean().default(true).describe('offer meridian.wait_linearizable() in the database'),
});

const timings = z.strictObject({
  retryMs: ms(200).describe('pause before the first new attempt after a failure'),
  retryMsMax: ms(5_000).describe('longest pause between attempts'),
  takeOverMs: ms(3_000).describe('patience with a predecessor that still uses the slot'),
  heartbeatTimeoutMs: ms(5_000).describe('longest wait for a read point'),
  drainMs: ms(5_000, 0).describe('longest wait for open work when going down'),
});

export const sidecarSchema = z
  .strictObject({
    cluster: name.describe('name of the cluster'),
    region: name.describe('region of this sidecar'),
    listen: address.describe('where programs ask for linearizable reads'),
    roles: z
      .array(role)
      .min(1)
      .describe('ship: changes of this database into the journal; apply: out of it'),
    postgres: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'expected postgres://user:password@host:port/database')
      .meta({ secret: true })
      .describe('the database beside which it runs'),
    instance: instance.describe(
      'the journal instance to ship to, and to apply from without crossbar',
    ),
    stream: z
      .string()
      .min(1)
      .max(255)
      .describe('stream of the changes, for example pg.orders; the same in every region'),
    ship: ship.prefault({}),
    apply: apply.prefault({}),
    timings: timings.prefault({}),
    metricsListen,
    logLevel,
    ...securitySettings,
  })
  .superRefine((config, context) => {
    const { listen } = config;
    checkSecurity(config, { listen }, (path, message) => {
      context.addIssue({ code: 'custom', path, message });
    });
  })
  .refine(({ roles }) => new Set(roles).size === roles.length, {
    path: ['roles'],
    message: 'expected each role once',
  });

export type SidecarConfig = z.output<typeof sidecarSchema>;
