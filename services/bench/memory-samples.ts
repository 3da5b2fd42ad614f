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
  let text: string;
  try {
    const response = await fetch(`http://${keeper}/metrics`, { signal: AbortSignal.timeout(5000) });
    text = await response.text();
  } catch {
    return null;
  }
  const value = (series: string): number => {
    const line = text.split('\n').find((each) => each.startsWith(`${series} `));
    return Number(line?.slice(series.length + 1) ?? 0) / MIB;
  };
  return {
    resident: round(value('process_resident_memory_bytes')),
    used: round(
      value('nodejs_memory_bytes{kind="heap_used"}') +
        value('nodejs_memory_bytes{kind="external"}'),
    ),
  };
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
