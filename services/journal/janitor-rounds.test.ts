import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../libs/archive/memory-store.ts';
import { loadConfig } from '../../libs/config/config.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { janitorSchema } from './janitor-config.ts';
import { addJanitorMetrics } from './janitor-metrics.ts';
import { JanitorRounds } from './janitor-rounds.ts';
import { MemoryJournal } from './memory-journal.ts';
import { archiverOf } from './testing-archiver.ts';
import { records } from './testing-reads.ts';

const told: string[] = [];
let now: number;

beforeEach(() => {
  told.length = 0;
  now = 1_000_000;
});

class NamedStore extends MemoryStore {
  override readonly url: 'memory:';

  constructor(name: string) {
    super();
    this.url = `memory:${name}` as 'memory:';
  }
}

async function archived(name: string): Promise<MemoryStore> {
  const store = new NamedStore(name);
  const journal = new MemoryJournal();
  for (let i = 0; i < 40; i += 1) {
    journal.add(80 + i * 96, [{ stream: 'a', records: records(2) }]);
  }
  journal.release([], journal.watermark.value + 10_000);
  const archiver = archiverOf(journal, store);
  while (await archiver.round());
  return store;
}

function roundsOf(stores: readonly MemoryStore[], roundMs = 1): JanitorRounds {
  const tell = (level: string) => (_: object, message: string) =>
    void told.push(`${level} ${message}`);
  const logger = { info: tell('info'), warn: tell('warn'), error: tell('error') } as never;
  const ages = { retentionMicros: 0, retentionBytes: 2000, graceMs: 1000, unnamedMs: null };
  const rules = { ...ages, trims: false, dryRun: false, now: () => now };
  return new JanitorRounds({ stores, rules, roundMs, logger });
}

describe('rounds of the janitor', () => {
  it('clean every archive, whichever of them fails; each trouble is told once, and its end', async () => {
    const stores = [await archived('one'), new NamedStore('new'), await archived('two')];
    const [one] = stores;
    if (one === undefined) throw new Error('none');
    one.fault = () => 'before';
    const rounds = roundsOf(stores);
    const begun = now;
    for (let round = 0; round < 3; round += 1) {
      now += 2000;
      await rounds.round();
    }
    expect(rounds.figures.get('memory:one')).toMatchObject({ failures: 3, goodAt: begun });
    expect(rounds.figures.get('memory:new')?.trouble).toContain('there is no archive');
    const two = rounds.figures.get('memory:two');
    expect(two).toMatchObject({ failures: 0, goodAt: now, trouble: null });
    expect(two?.deletedObjects).toBeGreaterThan(2);
    expect(told.filter((line) => line.startsWith('warn'))).toHaveLength(2);
    one.fault = () => null;
    await rounds.round();
    expect(rounds.figures.get('memory:one')).toMatchObject({ failures: 3, goodAt: now });
    expect(told.filter((line) => line.startsWith('info')).length).toBeGreaterThan(1);
  });

  it('go on until something is broken that is no trouble of an archive', async () => {
    const store = await archived('one');
    const rounds = roundsOf([store]);
    const running = rounds.run();
    while ((rounds.figures.get('memory:one')?.deletedObjects ?? 0) === 0) {
      now += 500;
      await new Promise((resolve) => setImmediate(resolve));
    }
    store.fault = () => {
      throw new TypeError('a bug');
    };
    await expect(running).rejects.toThrow('a bug');
    const calls = store.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(store.calls).toHaveLength(calls);
  });

  it('say how old the last good one is, by archive', async () => {
    const rounds = roundsOf([await archived('one'), new NamedStore('none')]);
    const registry = new Registry();
    addJanitorMetrics(registry, rounds, () => now);
    now += 5000;
    await rounds.round();
    now += 7000;
    const text = await registry.text();
    expect(text).toContain('meridian_janitor_round_age_seconds{archive="memory:one"} 7\n');
    expect(text).toContain('meridian_janitor_round_age_seconds{archive="memory:none"} 12\n');
    expect(text).toContain('meridian_janitor_failures_total{archive="memory:none"} 1\n');
  });
});

describe('the configuration of a janitor', () => {
  const mistakes = (argv: readonly string[]): readonly string[] => {
    const loaded = loadConfig({ schema: janitorSchema, name: 'janitor', argv, env: {} });
    return loaded.kind === 'mistakes' ? loaded.mistakes : [];
  };
  const place = (...urls: string[]): string => JSON.stringify(urls.map((url) => ({ url })));

  it('names what is wrong', () => {
    const common = ['--cluster', 'c', '--archives'];
    expect(mistakes([...common, place('s3://b/one', 'file:///tmp/two')])).toEqual([]);
    expect(mistakes([...common, place('http://b/one')]).join()).toContain('s3://bucket/prefix');
    expect(mistakes([...common, place('s3://b/one', 's3://b/one/')]).join()).toContain('again');
    const beyond = [...common, place('s3://b/one'), '--metrics-listen', '0.0.0.0:7480'];
    expect(mistakes(beyond).join()).toContain('loopback');
  });
});
