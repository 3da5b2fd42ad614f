/**
 * The live view as text: a function from what is known about the cluster to lines. Asking for it is
 * status.ts, showing it is screen.ts. What is not known is a dash; nothing is guessed or smoothed.
 */
import type { Instance, Region } from './topology.ts';
import { INSTANCES, REGIONS } from './topology.ts';

/** Median and 99th percentile in milliseconds. */
export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface ReplicaView {
  /** Of the last released entry; 0 when there is none. */
  readonly lastTimestamp: number;
  readonly watermark: number;
  /** Wall clock minus watermark when it answered. */
  readonly lagMs: number;
  /** Of appends that arrived here; null without any lately. */
  readonly append: Latency | null;
  /** How the other regions are heard. */
  readonly hears: Partial<Record<Region, 'direct' | 'not'>>;
  /** Lanes whose home is away, written by somebody else. */
  readonly sealed: readonly Region[];
  readonly voting: boolean;
}

export interface RegionView {
  /** null: it does not answer. */
  readonly replicas: Readonly<Record<Instance, ReplicaView | null>>;
  readonly crossbar: { readonly watermark: number; readonly lagMs: number } | null;
  readonly postgres: {
    readonly role: 'primary' | 'replica';
    readonly port: number;
    readonly up: boolean;
    /** What the sidecar is doing, or why it waits. */
    readonly sidecar: string;
    /** Wall clock minus what the database holds; null in the primary. */
    readonly lagMs: number | null;
    /** How long a COMMIT waits for the journal; null in a replica, or without any lately. */
    readonly commit: Latency | null;
  };
  /** Linearizable reads of the last seconds; null: none was answered. */
  readonly read: Latency | null;
}

export interface View {
  readonly wallClockMs: number;
  readonly uptimeMs: number;
  readonly regions: Readonly<Record<Region, RegionView>>;
}

const DASH = '–';

/** The view for a terminal: two tables of fixed columns. */
export function renderView(view: View): string[] {
  const journals = table(
    ['region', 'journal', 'last record', 'watermark', 'lag', 'append', 'hears', 'state'],
    REGIONS.flatMap((region) =>
      INSTANCES.map((instance, i) => [
        i === 0 ? region.toUpperCase() : '',
        instance,
        ...replicaCells(view.regions[region].replicas[instance]),
      ]),
    ),
  );
  const databases = table(
    ['region', 'crossbar', 'lag', 'database', 'sidecar', 'lag', 'commit', 'read'],
    REGIONS.map((region) => {
      const { crossbar, postgres, read } = view.regions[region];
      return [
        region.toUpperCase(),
        crossbar === null ? 'no answer' : time(crossbar.watermark),
        crossbar === null ? DASH : figure(crossbar.lagMs),
        `${postgres.role} :${String(postgres.port)}${postgres.up ? '' : ' down'}`,
        postgres.sidecar,
        postgres.lagMs === null ? DASH : figure(postgres.lagMs),
        latency(postgres.commit),
        latency(read),
      ];
    }),
  );
  const up = `up ${duration(view.uptimeMs)}`;
  const legend = 'lag, and latencies as p50/p99, in ms; read: a linearizable one';
  return [
    `${time(view.wallClockMs * 1000)}  ${up}  (${legend})`,
    '',
    ...journals,
    '',
    ...databases,
  ];
}

/** The same on one line, for logs and pipes. */
export function renderLine(view: View): string {
  const parts = REGIONS.map((region) => {
    const { replicas, crossbar, postgres, read } = view.regions[region];
    const answering = INSTANCES.filter((instance) => replicas[instance] !== null).length;
    const append = INSTANCES.map((instance) => replicas[instance]?.append ?? null).find(Boolean);
    return [
      `${region.toUpperCase()}:`,
      `replicas ${String(answering)}/${String(INSTANCES.length)}`,
      `watermark ${crossbar === null ? DASH : time(crossbar.watermark)}`,
      `lag ${crossbar === null ? DASH : figure(crossbar.lagMs)}`,
      `append ${latency(append ?? null)}`,
      `read ${latency(read)} ms`,
      ...(postgres.up ? [] : ['database down']),
    ].join(' ');
  });
  return `${time(view.wallClockMs * 1000).slice(0, 8)}  ${parts.join(' | ')}`;
}

/** Columns padded to their widest cell, two spaces between. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** `12:41:05.123`, UTC, from microseconds since 1970. */
export function time(micros: number): string {
  return micros === 0 ? DASH : new Date(Math.floor(micros / 1000)).toISOString().slice(11, 23);
}

export function milliseconds(ms: number): string {
  return ms < 10_000 ? `${figure(ms)} ms` : duration(ms);
}

/** Milliseconds, the unit left out; what another clock makes negative is nothing. */
function figure(ms: number): string {
  return ms < 10 ? Math.max(0, ms).toFixed(1) : ms.toFixed(0);
}

function replicaCells(replica: ReplicaView | null): string[] {
  if (replica === null) return ['no answer', DASH, DASH, DASH, DASH, DASH];
  const hears = REGIONS.flatMap((region) => {
    const how = replica.hears[region];
    return how === undefined
      ? []
      : [how === 'direct' ? region.toUpperCase() : `not ${region.toUpperCase()}`];
  });
  const sealed = replica.sealed.map((region) => `lane ${region.toUpperCase()} sealed`);
  return [
    time(replica.lastTimestamp),
    time(replica.watermark),
    figure(replica.lagMs),
    latency(replica.append),
    hears.join(' '),
    [...(replica.voting ? [] : ['recovering']), ...sealed].join(', ') || 'ok',
  ];
}

function latency(value: Latency | null): string {
  return value === null ? DASH : `${figure(value.p50Ms)}/${figure(value.p99Ms)}`;
}

function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const pad = (value: number): string => String(value).padStart(2, '0');
  return `${pad(Math.floor(seconds / 3600))}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
}
