/** Memory of the replicas over time, as the processes themselves say it (their metrics), a sample a second. */
import { round } from '../../libs/telemetry/figures.ts';

/** MiB. */
export interface Memory {
  readonly resident: number;
  /** Used of V8's heap, and of buffers outside of it. */
  readonly used: number;
}

export interface Series {
  readonly replica: string;
  /** Of the process, MiB, at most `POINTS` of them in equal distances. */
  readonly resident: readonly number[];
  readonly used: readonly number[];
  readonly residentMax: number;
  readonly usedMax: number;
  /** Medians of the last quarter above those of the second one: what did not stop growing. */
  readonly residentGrowth: number;
  readonly usedGrowth: number;
}

const SAMPLE_MS = 1000;
const POINTS = 12;
const MIB = 1024 * 1024;

/** null: it does not answer. */
export async function memoryOf(keeper: string): Promise<Memory | null> {
  const value = await metricsOf(keeper);
  if (value === null) return null;
  const used =
    value('nodejs_memory_bytes{kind="heap_used"}') + value('nodejs_memory_bytes{kind="external"}');
  const resident = value('process_resident_memory_bytes');
  return { resident: round(resident / MIB), used: round(used / MIB) };
}

/** It keeps as many of the newest entries in memory as it may: from now on that does not grow. */
export async function cacheIsFull(keeper: string): Promise<boolean> {
  const value = await metricsOf(keeper);
  if (value === null) return false;
  const setting = '{setting="cacheBytesMax"}';
  const used = value(`meridian_journal_limit_used${setting}`);
  return used > value(`meridian_journal_limit${setting}`) * 0.97;
}

/** null: it does not answer. */
async function metricsOf(keeper: string): Promise<((series: string) => number) | null> {
  try {
    const response = await fetch(`http://${keeper}/metrics`, { signal: AbortSignal.timeout(5000) });
    const lines = (await response.text()).split('\n');
    return (series) => {
      const line = lines.find((each) => each.startsWith(`${series} `));
      return Number(line?.slice(series.length + 1) ?? 0);
    };
  } catch {
    return null;
  }
}

/** Samples while `work` runs; a replica that does not answer has no sample. */
export async function sampled(
  keepers: ReadonlyMap<string, string>,
  work: () => Promise<unknown>,
): Promise<Series[]> {
  const samples = new Map([...keepers.keys()].map((replica) => [replica, [] as Memory[]]));
  let asking: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    asking = Promise.all(
      [...keepers].map(async ([replica, keeper]) => {
        const memory = await memoryOf(keeper);
        if (memory !== null) samples.get(replica)?.push(memory);
      }),
    );
  }, SAMPLE_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
    await asking;
  }
  return [...samples].map(([replica, all]) => seriesOf(replica, all));
}

function seriesOf(replica: string, all: readonly Memory[]): Series {
  const resident = all.map((each) => each.resident);
  const used = all.map((each) => each.used);
  return {
    replica,
    resident: thinned(resident),
    used: thinned(used),
    residentMax: Math.max(0, ...resident),
    usedMax: Math.max(0, ...used),
    residentGrowth: growth(resident),
    usedGrowth: growth(used),
  };
}

function thinned(values: readonly number[]): number[] {
  const step = Math.max(1, Math.ceil(values.length / POINTS));
  return values.filter((_, i) => i % step === step - 1).map(Math.round);
}

function growth(values: readonly number[]): number {
  const quarter = Math.floor(values.length / 4);
  if (quarter === 0) return 0;
  return round(median(values.slice(-quarter)) - median(values.slice(quarter, 2 * quarter)));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
