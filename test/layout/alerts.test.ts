/**
 * Alert rules (libs/telemetry/alerts): each names metrics that there are, has a runbook page, and is shown firing, and
 * not firing, on metrics of the real parts in the state it is about; those of bounds in limits.test.ts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../libs/archive/memory-store.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import type { Archive } from '../../services/journal/archive.ts';
import { addArchiveMetrics } from '../../services/journal/archive-metrics.ts';
import type { Archiver } from '../../services/journal/archiver.ts';
import { addJanitorMetrics } from '../../services/journal/janitor-metrics.ts';
import { JanitorRounds } from '../../services/journal/janitor-rounds.ts';
import { MemoryJournal } from '../../services/journal/memory-journal.ts';
import { archiverOf } from '../../services/journal/testing-archiver.ts';
import { records } from '../../services/journal/testing-reads.ts';
import { sidecarSchema } from '../../services/sidecar/config.ts';
import { addSidecarMetrics } from '../../services/sidecar/metrics.ts';
import { ShipProgress } from '../../services/sidecar/ship-progress.ts';
import { firing as firingIn, partsOf, rules } from './alert-rules.ts';
import { ROOT } from './source-files.ts';

const MINUTE = 60_000_000;

let store: MemoryStore;
let journal: MemoryJournal;
let archiver: Archiver;
let registry: Registry;

beforeEach(() => {
  store = new MemoryStore();
  journal = new MemoryJournal();
  registry = new Registry();
  const rule = { segmentBytes: 10_000, windowMicros: 5 * MINUTE };
  archiver = archiverOf(journal, store, { rule });
  const archive = { archiver, history: { figures: {}, cachedBytes: 0 } } as unknown as Archive;
  addArchiveMetrics(registry, { archive: {} as never }, journal, archive);
});

const firing = (): Promise<string[]> => firingIn(registry);

/** Appends a record a minute of log time. */
function append(minutes: number): void {
  for (let minute = 0; minute < minutes; minute += 1) {
    const time = Math.ceil((journal.watermark.value + MINUTE) / 8) * 8;
    journal.add(time, [{ stream: 's', records: records(1) }]);
  }
}

async function look(times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) await archiver.attempt();
}

it.each(rules)('$alert names a metric that there is, and a page that is about it', (rule) => {
  const reference = readFileSync(join(ROOT, 'libs/telemetry/METRICS.md'), 'utf8');
  const { metric, limit } = partsOf(rule);
  expect(reference).toContain(`\`${metric}\``);
  if (limit !== null) expect(reference).toContain(`\`${limit}\``);
  const page = join(ROOT, rule.annotations.runbook);
  expect(existsSync(page), page).toBe(true);
  const text = readFileSync(page, 'utf8');
  expect(text.startsWith(`# ${rule.alert}\n`)).toBe(true);
  for (const [name = ''] of text.matchAll(/meridian_\w+/g)) {
    expect(reference, `${name} of ${page}`).toContain(`\`${name}\``);
  }
});

describe('alerts of the archive', () => {
  it('are silent while a journal is archived, busy or idle', async () => {
    expect(await firing()).toEqual([]);
    append(120);
    await look(40);
    expect(await firing()).toEqual([]);
    journal.release([], journal.watermark.value + 600 * MINUTE);
    await look(5);
    expect(archiver.archivedTo).toBe(120);
    expect(await firing()).toEqual([]);
  });

  it('MeridianArchiveBacklog fires when the store is away for long, and ends when it is back', async () => {
    append(10);
    await look(5);
    store.fault = () => 'before';
    append(20);
    await look(3);
    expect(await firing()).toEqual([]);
    append(20);
    await look(3);
    expect(await firing()).toEqual(['MeridianArchiveBacklog']);
    store.fault = () => null;
    await look(40);
    expect(await firing()).toEqual([]);
  });

  it('MeridianArchiveBacklog fires when the archive was never reached', async () => {
    store.fault = () => 'before';
    append(40);
    await look(3);
    expect(await firing()).toEqual(['MeridianArchiveBacklog']);
  });

  it('MeridianJanitorIdle fires when a day has passed without a good round, and ends with one', async () => {
    const HOUR_MS = 3_600_000;
    let now = 0;
    append(20);
    await look(5);
    const tell = (): void => undefined;
    const rules = {
      ...{ retentionMicros: 0, retentionBytes: 0, trims: true, dryRun: false },
      ...{ graceMs: HOUR_MS, unnamedMs: 0, now: () => now },
    };
    const logger = { info: tell, warn: tell, error: tell } as never;
    const rounds = new JanitorRounds({ stores: [store], rules, roundMs: HOUR_MS, logger });
    addJanitorMetrics(registry, rounds, () => now);
    await rounds.round();
    store.fault = () => 'before';
    now += 25 * HOUR_MS;
    await rounds.round();
    expect(await firing()).not.toContain('MeridianJanitorIdle');
    now += 2 * HOUR_MS;
    await rounds.round();
    expect(await firing()).toContain('MeridianJanitorIdle');
    store.fault = () => null;
    await rounds.round();
    expect(await firing()).not.toContain('MeridianJanitorIdle');
  });

  it('MeridianArchiveHalted fires when the archive holds what it must not', async () => {
    append(20);
    store.corrupt = (key, bytes) => (key.startsWith('segments/') ? Buffer.from('other') : bytes);
    await look(5);
    expect(await firing()).toEqual(['MeridianArchiveHalted']);
    store.corrupt = (_, bytes) => bytes;
    await look(20);
    expect(await firing()).toEqual([]);
  });
});

describe('alerts of a sidecar', () => {
  it('MeridianFencedPrimaryWritable fires while a fenced primary takes writes, and ends when it refuses them', async () => {
    const ship = new ShipProgress();
    addSidecarMetrics(registry, {
      config: sidecarSchema.parse({
        ...{ cluster: 'c', region: 'eu', listen: '127.0.0.1:1', roles: ['ship', 'apply'] },
        ...{ postgres: 'postgres://u@h/d', stream: 'pg.d' },
        instance: { name: 'one', replicas: [{ region: 'eu', address: 'h:1' }] },
      }),
      ...{ ship, apply: null, appliedWatermark: () => 0, waitLatency: () => null, wall: () => 0 },
    });
    expect(await firing()).toEqual([]);
    ship.writes = 'refusing';
    expect(await firing()).toEqual(['MeridianFencedPrimaryWritable']);
    ship.writes = 'refused';
    expect(await firing()).toEqual([]);
  });
});
