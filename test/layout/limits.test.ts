/**
 * Every limit is a named setting with a default and a metric (P7): the settings come from the schemas of the
 * services, so a bound that is added without its metrics fails here. And the alerts on bounds fire near them.
 */
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { settingsOf } from '../../libs/config/settings-schema.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { addSecurityMetrics } from '../../libs/telemetry/security-metrics.ts';
import { addCrossbarMetrics } from '../../services/crossbar/metrics.ts';
import { crossbarSchema } from '../../services/crossbar/config.ts';
import { addArchiveMetrics } from '../../services/journal/archive-metrics.ts';
import { journalSchema } from '../../services/journal/config.ts';
import { HotFigures } from '../../services/journal/hot-figures.ts';
import { limitUse } from '../../services/journal/limit-use.ts';
import { addJournalMetrics } from '../../services/journal/metrics.ts';
import { ApplyProgress } from '../../services/sidecar/apply.ts';
import { sidecarSchema } from '../../services/sidecar/config.ts';
import { addSidecarMetrics } from '../../services/sidecar/metrics.ts';
import { ShipProgress } from '../../services/sidecar/ship-progress.ts';
import { firing, rules } from './alert-rules.ts';

/**
 * Settings below which nothing is kept that could be counted, and where their effect is seen: sizes
 * that things are given, paces, and what is enforced inside HTTP/2.
 */
const SEEN_ELSEWHERE: Readonly<Record<string, string>> = {
  'limits.chunkBytes': 'meridian_journal_read_bytes_total',
  'limits.segmentBytes': 'meridian_journal_log_segments',
  'limits.diskReserveBytes': 'meridian_journal_disk_free_bytes',
  'archive.localBytes': 'meridian_journal_log_bytes',
  'archive.segmentBytes': 'meridian_journal_archive_upload_bytes',
  'connections.connectionsPerAddressMax': 'meridian_server_connections_refused_total',
  'connections.callsPerConnectionMax': 'meridian_server_connections',
  'connections.metadataBytesMax': 'meridian_server_calls_denied_total',
  'connections.connectionMemoryMiB': 'meridian_server_connections',
  'connections.resetsPerSecondMax': 'meridian_server_connections_refused_total',
  'access.operationsPerSecondMax': 'meridian_server_calls_denied_total',
  'access.bytesPerSecondMax': 'meridian_server_calls_denied_total',
  'ship.batchBytesMax': 'meridian_sidecar_ship_transactions_total',
  'apply.mergeBytesMax': 'meridian_sidecar_apply_transactions_total',
};

const BASE = { cluster: 'c', region: 'eu', listen: '127.0.0.1:1' };

/** What every part is asked for, all of it in use up to `share` of its bound. */
let share = 0.5;

function journal(): Registry {
  const config = journalSchema.parse({
    ...BASE,
    instance: 'i',
    replica: 0,
    dataDirectory: '/data',
    peerListen: '127.0.0.1:2',
    peers: [1, 2].map((replica) => ({ replica, region: `r${replica}`, address: 'h:1' })),
    archive: { url: 'file:///archive' },
    limits: { retentionBytes: 1 << 30 },
  });
  const { limits, archive } = config;
  const registry = new Registry();
  new HotFigures(registry);
  addJournalMetrics(registry, {
    config,
    clocks: { wall: () => 0 },
    watermark: () => 0,
    serving: () => true,
    forwardedVia: () => '',
    inspect: () => ({ peers: [], lanes: [] }),
    load: () => ({}),
    log: () => ({}),
    disk: () => Promise.resolve({}),
    space: () => ({ space: share > 0.9 ? 'low' : 'ample' }),
    upkeep: () => ({ scrub: { open: [] }, comparison: { divergences: [] } }),
    peers: () => [],
    reads: {},
    events: { opens: [], seals: [] },
    spans: null,
    limitUse: () =>
      limitUse({
        limits,
        figures: { largestBatchBytes: 1, largestBatchRecords: 1, largestEntryBytes: 1 },
        inspection: { inflightBytes: 1, fedBytes: 1, lanes: [{ hot: 1 }] },
        sessions: { count: share * limits.sessionsMax, mostUnansweredBytes: 1 },
        admission: { bytes: 1 },
        store: { cachedBytes: limits.cacheBytesMax },
        peers: [{ queuedBytes: 1 }, { queuedBytes: 2 }],
        readers: { count: 1, heldBytes: 1 },
        actions: { waitingCount: 1 },
        driver: { heartbeatCount: 1 },
        http: null,
        checkpointer: { bytesSinceLast: 1 },
        log: { segments: 1 },
      }),
  } as never);
  const ports = { clients: { connections: { open: share * 4096, refused: {} } } };
  const bounds = { ...config.connections, ...config.access };
  addSecurityMetrics(registry, { ports: () => ports, security: null, limits: bounds });
  addArchiveMetrics(
    registry,
    { archive },
    {
      index: { first: 0, count: 0, timestampAt: () => 0 as never },
      watermark: { value: 0 as never },
    },
    {
      archiver: { heldSegments: 1, figures: {}, catalog: null, archivedTo: 0 },
      history: { cachedBytes: 1, fetching: 1, figures: {} },
    } as never,
  );
  return registry;
}

function crossbar(): Registry {
  const instances = [{ name: 'i', number: 1, replicas: [{ region: 'eu', address: 'h:1' }] }];
  const config = crossbarSchema.parse({ ...BASE, instances });
  const registry = new Registry();
  const waiters = share * config.limits.waitersMax;
  addCrossbarMetrics(registry, {
    config,
    ready: () => true,
    wall: () => 0,
    crossbar: {
      figures: { troubles: new Map() },
      status: () => ({ watermark: 0, subscribers: 0, instances: [] }),
      load: () => ({
        subscribers: { live: 1, catchingUp: 1, waiting: 0 },
        windowBytes: config.limits.windowBytesMax,
        windowEntries: 1,
        heldBytes: 1,
        subscriberBytes: 1,
        subscriberStreams: 1,
        inputBytes: 1,
        waiters,
      }),
    } as never,
  });
  const limits = { ...config.connections, ...config.access };
  addSecurityMetrics(registry, { ports: () => ({}), security: null, limits });
  return registry;
}

function sidecar(): Registry {
  const config = sidecarSchema.parse({
    ...BASE,
    roles: ['ship', 'apply'],
    postgres: 'postgres://u@h/d',
    instance: { name: 'one', replicas: [{ region: 'eu', address: 'h:1' }] },
    stream: 'pg.d',
  });
  const registry = new Registry();
  const ship = new ShipProgress();
  ship.queuedBytes = share * config.ship.windowBytesMax;
  addSidecarMetrics(registry, {
    config,
    ship,
    apply: new ApplyProgress(),
    appliedWatermark: () => 0,
    waitLatency: () => null,
    wall: () => 0,
  });
  const limits = { ...config.connections, ...config.access };
  addSecurityMetrics(registry, { ports: () => ({}), security: null, limits });
  return registry;
}

/** By service: its settings, its metrics, and how its bounds are named there. */
const SERVICES: readonly [string, z.ZodObject, () => Registry, Readonly<Record<string, string>>][] =
  [
    [
      'journal',
      journalSchema,
      journal,
      { limits: 'meridian_journal', archive: 'meridian_journal_archive' },
    ],
    ['crossbar', crossbarSchema, crossbar, { limits: 'meridian_crossbar' }],
    ['sidecar', sidecarSchema, sidecar, { ship: 'meridian_sidecar', apply: 'meridian_sidecar' }],
  ];

/** Times and flags are no limits; `retryMsMax` is a time. */
function isLimit({ path, type }: { path: readonly string[]; type: string }): boolean {
  const name = path.at(-1) ?? '';
  return (
    type === 'number' && path.length > 1 && path[0] !== 'timings' && /(Max|Bytes|MiB)$/.test(name)
  );
}

describe.each(SERVICES)('the limits of the %s', (_service, schema, registryOf, prefixes) => {
  const limits = settingsOf(schema).filter(isLimit);

  it('have a default and are exported, each with what is used of it', async () => {
    share = 0.5;
    const lines = (await registryOf().text()).split('\n');
    expect(limits.length).toBeGreaterThan(8);
    for (const { path, defaultValue } of limits) {
      const name = path.join('.');
      expect(defaultValue, `${name} has no default`).not.toBeUndefined();
      const [group = '', setting = ''] = path;
      const prefix = prefixes[group] ?? 'meridian_server';
      const label = prefix === 'meridian_sidecar' ? name : setting;
      const has = (metric: string): boolean =>
        lines.some((line) => line.startsWith(`${metric}{setting="${label}"} `));
      expect(has(`${prefix}_limit`), `${name} is not in ${prefix}_limit`).toBe(true);
      const seen = SEEN_ELSEWHERE[name];
      if (seen === undefined) {
        expect(has(`${prefix}_limit_used`), `${name} is not in ${prefix}_limit_used`).toBe(true);
      } else {
        const exported = lines.some((line) => line.startsWith(`# HELP ${seen} `));
        expect(exported, `${name} was to be seen by ${seen}`).toBe(true);
      }
    }
  });
});

it('nothing is excused from a metric that is no limit any more', () => {
  const all = SERVICES.flatMap(([, schema]) => settingsOf(schema).filter(isLimit));
  const names = new Set(all.map(({ path }) => path.join('.')));
  expect(Object.keys(SEEN_ELSEWHERE).filter((name) => !names.has(name))).toEqual([]);
});

describe('the alerts on limits', () => {
  const expected = [
    [
      'journal',
      journal,
      ['MeridianJournalNearLimit', 'MeridianDiskFull', 'MeridianServerNearLimit'],
    ],
    ['crossbar', crossbar, ['MeridianCrossbarNearLimit']],
    ['sidecar', sidecar, ['MeridianSidecarNearLimit']],
  ] as const;

  it.each(expected)(
    'of the %s fire near a limit, and not at half of it or when a cache is full',
    async (...row) => {
      const [, registryOf, alerts] = row;
      share = 0.5;
      expect(await firing(registryOf())).toEqual([]);
      share = 0.95;
      expect(await firing(registryOf())).toEqual([...alerts]);
    },
  );

  it('name only settings that there are, and all of them are shown above', () => {
    const settings = SERVICES.flatMap(([, schema]) =>
      settingsOf(schema).map(({ path }) => path.join('.')),
    );
    for (const { expr } of rules) {
      for (const name of /setting=~"([^"]+)"/.exec(expr)?.[1]?.split('|') ?? []) {
        expect(
          settings.some((path) => path === name || path.endsWith(`.${name}`)),
          name,
        ).toBe(true);
      }
    }
    const shown = expected.flatMap(([, , alerts]) => alerts);
    const onLimits = rules.filter(({ alert }) => /NearLimit$|DiskFull$/.test(alert));
    expect(onLimits.map(({ alert }) => alert).sort()).toEqual([...shown].sort());
  });
});
