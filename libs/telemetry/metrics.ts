/**
 * A registry of metrics and its text in the Prometheus exposition format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Small instead of a package, because
 * what is needed is small: counting on the hot path is one addition to a number that was looked up
 * before, and everything that is known anyway is read when somebody scrapes, at no cost otherwise.
 *
 * Names are checked when they are declared: base units, `_total` for counters and only for them.
 */
import { assert } from '../values/assert.ts';

export interface MetricSpec {
  /** Begins with the part, ends with the unit: meridian_journal_sync_seconds. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricDescription extends Required<MetricSpec> {
  readonly type: MetricType;
}

/** Only goes up. */
export class Counter {
  value = 0;

  add(count = 1): void {
    this.value += count;
  }
}

/** Counts values by upper bounds; no allocation, a few comparisons. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    this.#sum += value;
    this.#count += 1;
    for (let i = 0; i < bounds.length; i += 1) {
      if (value > (bounds[i] ?? Infinity)) continue;
      this.#counts[i] = (this.#counts[i] ?? 0) + 1;
      return;
    }
  }

  lines(name: string, labels: string): string[] {
    const before = labels === '' ? '' : `${labels},`;
    let cumulative = 0;
    const buckets = this.#bounds.map((bound, i) => {
      cumulative += this.#counts[i] ?? 0;
      return `${name}_bucket{${before}le="${bound}"} ${cumulative}`;
    });
    const braces = labels === '' ? '' : `{${labels}}`;
    return [
      ...buckets,
      `${name}_bucket{${before}le="+Inf"} ${this.#count}`,
      `${name}_sum${braces} ${this.#sum}`,
      `${name}_count${braces} ${this.#count}`,
    ];
  }
}

/** Children of a metric by the values of its labels. Look them up once, not for every event. */
export interface Family<Child> {
  with(...labels: readonly string[]): Child;
}

/** Says a value; label values in the order of the declaration. `null` says nothing. */
export type Emit = (value: number | null, ...labels: readonly (string | number)[]) => void;

interface Registered {
  readonly description: MetricDescription;
  readonly lines: () => string[];
}

const NAME = /^(meridian|process|nodejs)(_[a-z0-9]+)+$/;

export class Registry {
  readonly #metrics = new Map<string, Registered>();
  readonly #refreshers: (() => Promise<void> | void)[] = [];

  counter(spec: MetricSpec): Family<Counter> {
    return this.#family(
      'counter',
      spec,
      () => new Counter(),
      (counter, name, labels) => [line(name, labels, counter.value)],
    );
  }

  histogram(spec: MetricSpec & { readonly bounds: readonly number[] }): Family<Histogram> {
    const { bounds } = spec;
    assert(
      bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] ?? 0)),
      'bounds ascend',
    );
    return this.#family(
      'histogram',
      spec,
      () => new Histogram(bounds),
      (histogram, name, labels) => histogram.lines(name, labels),
    );
  }

  /** What is known anyway: read at each scrape. */
  read(type: 'counter' | 'gauge', spec: MetricSpec, values: (emit: Emit) => void): void {
    const { name, labels } = this.#describe(type, spec, () => {
      const lines: string[] = [];
      values((value, ...given) => {
        if (value === null || Number.isNaN(value)) return;
        lines.push(line(name, labelText(labels, given.map(String)), value));
      });
      return lines;
    });
  }

  /** Runs before each scrape. */
  beforeScrape(refresh: () => Promise<void> | void): void {
    this.#refreshers.push(refresh);
  }

  async text(): Promise<string> {
    for (const refresh of this.#refreshers) await refresh();
    const lines: string[] = [];
    for (const { description, lines: values } of this.#metrics.values()) {
      const { name, help, type } = description;
      lines.push(`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`);
      lines.push(`# TYPE ${name} ${type}`, ...values());
    }
    return `${lines.join('\n')}\n`;
  }

  descriptions(): MetricDescription[] {
    return [...this.#metrics.values()].map(({ description }) => description);
  }

  #family<Child>(
    type: MetricType,
    spec: MetricSpec,
    create: () => Child,
    print: (child: Child, name: string, labels: string) => string[],
  ): Family<Child> {
    const children = new Map<string, Child>();
    const { name, labels } = this.#describe(type, spec, () =>
      [...children].flatMap(([text, child]) => print(child, name, text)),
    );
    const family: Family<Child> = {
      with: (...values) => {
        const text = labelText(labels, values);
        let child = children.get(text);
        if (child === undefined) {
          child = create();
          children.set(text, child);
        }
        return child;
      },
    };
    // Without labels there is one child, and it is there from the start: a zero is a value.
    if (labels.length === 0) family.with();
    return family;
  }

  #describe(type: MetricType, spec: MetricSpec, lines: () => string[]): MetricDescription {
    const { name, help, labels = [] } = spec;
    assert(NAME.test(name), `metric name ${name}`);
    assert(name.endsWith('_total') === (type === 'counter'), `${name}: counters end with _total`);
    assert(!/_(ms|millis|micros|us|kb|mb)(_|$)/.test(name), `${name}: base units only`);
    assert(help !== '', `${name} needs a help text`);
    assert(!this.#metrics.has(name), `metric ${name} is declared twice`);
    const description = { type, name, help, labels };
    this.#metrics.set(name, { description, lines });
    return description;
  }
}

/** Durations in seconds, from a tenth of a millisecond to ten seconds. */
export const SECONDS_BOUNDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** Sizes in bytes, from 256 to 16 MiB, each four times the one before. */
export const BYTES_BOUNDS = [
  256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
];

function line(name: string, labels: string, value: number): string {
  const text = value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
  return labels === '' ? `${name} ${text}` : `${name}{${labels}} ${text}`;
}

function labelText(names: readonly string[], values: readonly string[]): string {
  assert(names.length === values.length, `${names.length} labels expected, ${values.length} given`);
  return names.map((name, i) => `${name}="${escaped(values[i] ?? '')}"`).join(',');
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
