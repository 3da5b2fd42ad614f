/**
 * Settings of a replica. Times are milliseconds here and microseconds in the lane core; the bounds
 * refuse what could not work, for example a seal timeout below the beacon.
 */
import { z } from 'zod';
import { checkSecurity, securitySettings } from '../../libs/config/security.ts';
import { address, logLevel, metricsListen, ms, name } from '../../libs/config/service-settings.ts';
import { defaultSettings } from '../../libs/lane/settings.ts';
import type { LaneSettings } from '../../libs/lane/types.ts';
import { SEGMENT_BYTES_DEFAULT } from '../../libs/storage/log.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import { archiveSchema } from './archive-config.ts';

const MIB = 1024 * 1024;

const replica = z.coerce
  .number()
  .refine((value): value is ReplicaId => value === 0 || value === 1 || value === 2, {
    message: 'expected 0, 1 or 2',
  });
const bytes = (defaultBytes: number, least: number, most = 64 * 1024 * MIB) =>
  z.number().int().min(least).max(most).default(defaultBytes);
const count = (defaultCount: number) =>
  z.number().int().min(1).max(1_000_000).default(defaultCount);

const peer = z.strictObject({ replica, region: name, address });

const timings = z.strictObject({
  tickMs: ms(5).describe('how often timers of the protocol are looked at'),
  beaconMs: ms(defaultSettings.beacon / 1000).describe('silence after which a beacon is sent'),
  lazyMs: ms(defaultSettings.lazy / 1000, 0).describe('longest delay of news nobody waits for'),
  detourMs: ms(defaultSettings.detour / 1000).describe(
    'silence on a direct link after which the third replica forwards',
  ),
  sealTimeoutMs: ms(defaultSettings.sealTimeout / 1000).describe(
    "silence of a lane's writer after which others may seal it",
  ),
  resendMs: ms(defaultSettings.resend / 1000).describe('when something unanswered is sent again'),
  reserveMs: ms(defaultSettings.reserve / 1000, 10).describe('how far the clock is reserved ahead'),
  maxClockOffsetMs: ms(defaultSettings.maxClockOffset / 1000).describe(
    'a clock further from the median is unsafe',
  ),
  maxClockErrorMs: z
    .number()
    .positive()
    .optional()
    .describe(
      'known bound on the error of the wall clock; QUORUM answers wait until it has passed',
    ),
  progressMs: ms(10).describe('longest time a reader is without progress'),
  stalledMs: ms(1000).describe('standstill of the watermark after which readers are told'),
  slowReaderMs: ms(30_000).describe(
    'longest time a reader may leave what waits for it untouched; then it is cut off',
  ),
  heartbeatTimeoutMs: ms(5000).describe('longest wait for a read point, or for a control action'),
  slowSyncMs: ms(1000).describe('a sync that takes longer is told in the log and counted'),
  noQuorumMs: ms(1000).describe('silence of both peers after which appends are refused'),
  compareMs: ms(10_000).describe(
    'how often hashes of what was released are compared with the peers',
  ),
  scrubPauseMs: ms(600_000).describe('pause between two readings of everything old on the disk'),
  retentionMs: z
    .number()
    .min(0)
    .default(0)
    .describe('age up to which entries are kept, trimmed or not; 0 for any age'),
  drainMs: ms(5000, 0).describe('longest wait for open appends when going down'),
});

const clock = z.strictObject({
  errorSource: z
    .enum(['setting', 'chrony', 'clockbound'])
    .default('setting')
    .describe(
      'who says how wrong the wall clock may be: timings.maxClockErrorMs alone, or chrony or AWS ClockBound within it; without a reading within it appends are refused as CLOCK_UNSAFE',
    ),
  chronycCommand: z.string().min(1).default('chronyc').describe('program that asks chrony'),
  clockBoundFile: z
    .string()
    .min(1)
    .default('/var/run/clockbound/shm0')
    .describe('shared memory of ClockBound, protocol 2'),
  refreshMs: ms(1000, 10).describe('pause between two readings'),
});

const limits = z.strictObject({
  batchBytesMax: bytes(MIB, 1024, 16 * MIB).describe('largest batch of a client'),
  recordsPerBatchMax: count(10_000).describe('most records of a batch'),
  entryBytesMax: bytes(defaultSettings.entryBytesMax, 1024, 32 * MIB).describe('largest entry'),
  inflightBytesMax: bytes(defaultSettings.inflightBytesMax, MIB).describe(
    'own bytes stamped and not yet released',
  ),
  feedBytesMax: bytes(defaultSettings.feedBytesMax, MIB).describe(
    'bytes sent to one peer and not yet confirmed',
  ),
  hotEntriesMax: z
    .number()
    .int()
    .min(0)
    .max(1_000_000)
    .default(defaultSettings.hotEntriesMax)
    .describe('released entries of a lane kept at hand for peers a little behind'),
  windowBytes: bytes(8 * MIB, 1024).describe('unanswered bytes of one append session'),
  unansweredBytesMax: bytes(defaultSettings.queueBytesMax, 1024).describe(
    'bytes of all clients between arrival and release',
  ),
  cacheBytesMax: bytes(128 * MIB, 0).describe('newest entries kept in memory'),
  peerQueueBytesMax: bytes(32 * MIB, MIB).describe('bytes that may wait for a slow peer'),
  readersMax: count(1000).describe('open reads'),
  readersBytesMax: bytes(64 * MIB, MIB).describe(
    'bytes that may wait for the clients of all reads; each has an equal share',
  ),
  sessionsMax: count(1000).describe('open append sessions'),
  actionsMax: count(4096).describe('control actions that wait for their place in the order'),
  heartbeatsMax: count(4096).describe('heartbeats under way'),
  httpConnectionsMax: count(128).describe('open connections of HTTP'),
  httpReadsMax: count(32).describe('open reads over HTTP, which count among readersMax too'),
  chunkBytes: bytes(256 * 1024, 1024, 2 * MIB).describe('size of the messages to readers'),
  segmentBytes: bytes(SEGMENT_BYTES_DEFAULT, 4096, 512 * MIB).describe('size of a log segment'),
  diskReserveBytes: bytes(256 * MIB, 0).describe(
    'room kept on the disk: below it appends are refused as DISK_FULL, below half of it entries of the peers too; 0 to wait until a write fails',
  ),
  scrubBytesPerSecond: bytes(8 * MIB, 0).describe(
    'how fast old segments and checkpoints are read to find damage; 0 to read none',
  ),
  checkpointBytes: bytes(256 * MIB, 4096).describe('log between two checkpoints'),
  retentionBytes: bytes(0, 0, Number.MAX_SAFE_INTEGER).describe(
    'log that is kept, trimmed or not; 0 for all of it. With an archive it is archive.localBytes that counts',
  ),
});

export const journalSchema = z
  .strictObject({
    cluster: name.describe('name of the cluster'),
    instance: name.describe('name of the journal instance'),
    replica: replica.describe('number of this replica, the same as of the lane it is home of'),
    region: name.describe('region of this replica'),
    witness: z
      .boolean()
      .default(false)
      .describe(
        'it only votes: keeps the log and the order like the others, and serves no clients',
      ),
    generation: z.number().int().min(1).default(1).describe('generation of the membership'),
    dataDirectory: z.string().min(1).describe('directory of the log'),
    listen: address.describe('where clients are served'),
    peerListen: address.describe('where the other replicas are served'),
    metricsListen,
    httpListen: address
      .optional()
      .describe(
        'where JSON over HTTP and the console are served, with tls.certificate over HTTPS; not at all by default',
      ),
    tracesEndpoint: z
      .url()
      .optional()
      .describe(
        'collector of traces, OTLP over HTTP, for example http://collector:4318/v1/traces; none by default',
      ),
    peers: z.array(peer).length(2).describe('the two other replicas: replica, region, address'),
    logLevel,
    timings: timings.prefault({}),
    clock: clock.prefault({}),
    limits: limits.prefault({}),
    ...securitySettings,
    archive: archiveSchema.prefault({}),
  })
  .superRefine((config, context) => {
    const complain = (path: (string | number)[], message: string): void => {
      context.addIssue({ code: 'custom', path, message });
    };
    const { listen, peerListen, httpListen } = config;
    const http = httpListen === undefined ? {} : { httpListen };
    checkSecurity(config, { listen, peerListen, ...http }, complain);
    const numbers = [config.replica, ...config.peers.map((other) => other.replica)];
    if (REPLICAS.some((id) => !numbers.includes(id))) {
      complain(['peers'], 'expected the two replicas that this one is not');
    }
    const { beaconMs, detourMs, sealTimeoutMs } = config.timings;
    if (detourMs <= beaconMs) complain(['timings', 'detourMs'], 'expected more than beaconMs');
    if (sealTimeoutMs <= detourMs) {
      complain(['timings', 'sealTimeoutMs'], 'expected more than detourMs');
    }
    if (config.clock.errorSource !== 'setting' && config.timings.maxClockErrorMs === undefined) {
      complain(['timings', 'maxClockErrorMs'], 'expected with clock.errorSource: the bound of all');
    }
    if (config.witness) {
      const none = 'expected none: a witness serves no clients and archives nothing';
      if (config.httpListen !== undefined) complain(['httpListen'], none);
      if (config.archive.url !== undefined) complain(['archive', 'url'], none);
    }
    const { batchBytesMax, entryBytesMax, windowBytes, unansweredBytesMax } = config.limits;
    if (entryBytesMax < batchBytesMax) {
      complain(['limits', 'entryBytesMax'], 'expected at least batchBytesMax');
    }
    if (windowBytes < batchBytesMax) {
      complain(['limits', 'windowBytes'], 'expected at least batchBytesMax');
    }
    if (unansweredBytesMax < windowBytes) {
      complain(['limits', 'unansweredBytesMax'], 'expected at least windowBytes');
    }
  });

export type JournalConfig = z.output<typeof journalSchema>;

export function laneSettings(config: JournalConfig): LaneSettings {
  const { timings: time, limits: limit } = config;
  const micros = (millis: number): number => Math.round(millis * 1000);
  return {
    beacon: micros(time.beaconMs),
    lazy: micros(time.lazyMs),
    detour: micros(time.detourMs),
    sealTimeout: micros(time.sealTimeoutMs),
    resend: micros(time.resendMs),
    reserve: micros(time.reserveMs),
    maxClockOffset: micros(time.maxClockOffsetMs),
    maxClockError: time.maxClockErrorMs === undefined ? null : micros(time.maxClockErrorMs),
    clockErrorMeasured: config.clock.errorSource !== 'setting',
    entryBytesMax: limit.entryBytesMax,
    inflightBytesMax: limit.inflightBytesMax,
    // Whatever the sessions have admitted fits into the queue, so the core never refuses part of it.
    queueBytesMax: limit.unansweredBytesMax,
    feedBytesMax: limit.feedBytesMax,
    hotEntriesMax: limit.hotEntriesMax,
  };
}
