/** What a sidecar knows of itself, as metrics: read when somebody scrapes. */
import { addLimits } from '../../libs/telemetry/limits.ts';
import type { Registry } from '../../libs/telemetry/metrics.ts';
import type { LatencySnapshot } from '../../libs/telemetry/latency.ts';
import type { ApplyProgress } from './apply.ts';
import type { SidecarConfig } from './config.ts';
import type { ShipProgress } from './ship-progress.ts';

export interface SidecarMetricsSource {
  readonly config: Pick<SidecarConfig, 'cluster' | 'region' | 'stream' | 'ship' | 'apply'>;
  /** null without the role. */
  readonly ship: ShipProgress | null;
  readonly apply: ApplyProgress | null;
  readonly appliedWatermark: () => number;
  readonly waitLatency: () => LatencySnapshot | null;
  /** Microseconds since 1970. */
  readonly wall: () => number;
}

const S = 'meridian_sidecar';
const SHIP_STATES = ['connecting', 'copying', 'streaming', 'waiting', 'fenced', 'off'] as const;

export function addSidecarMetrics(registry: Registry, source: SidecarMetricsSource): void {
  const { config, ship, apply } = source;
  registry.read(
    'gauge',
    {
      name: `${S}_info`,
      help: 'Always 1; the labels say which sidecar this is.',
      labels: ['cluster', 'region', 'stream'],
    },
    (emit) => {
      emit(1, config.cluster, config.region, config.stream);
    },
  );
  addShip(registry, ship);
  addApply(registry, source);
  const limits = { ...bounds('ship', config.ship), ...bounds('apply', config.apply) };
  addLimits(registry, {
    prefix: S,
    limits,
    used: () => ({
      'ship.windowBytesMax': ship?.queuedBytes ?? null,
      'apply.queueBytesMax': apply?.queuedBytes ?? null,
    }),
  });
}

function addShip(registry: Registry, ship: ShipProgress | null): void {
  const read = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    value: (of: ShipProgress) => number,
  ): void => {
    registry.read(type, { name: `${S}_ship_${name}`, help }, (emit) => {
      if (ship !== null) emit(value(ship));
    });
  };
  registry.read(
    'gauge',
    { name: `${S}_ship_state`, help: '1: shipping is in this state.', labels: ['state'] },
    (emit) => {
      if (ship === null) return;
      for (const state of SHIP_STATES) emit(Number(ship.state === state), state);
    },
  );
  read('counter', 'transactions_total', 'Transactions acknowledged by the journal.', (of) => {
    return of.transactions;
  });
  read('gauge', 'copied_rows', 'Rows of the initial copy that are read.', (of) => {
    return of.copy?.rows ?? 0;
  });
  read('gauge', 'copy_estimated_rows', 'Rows it has, by the statistics of Postgres.', (of) => {
    return of.copy?.rowsEstimated ?? 0;
  });
  read('gauge', 'in_flight', 'Appends that wait for the journal.', (of) => of.inFlight);
  read('gauge', 'confirmed_lsn_bytes', 'Write-ahead log position confirmed to Postgres.', (of) => {
    return Number(of.confirmed);
  });
  read('gauge', 'epoch', 'Epoch of the writer.', (of) => of.epoch);
  read('gauge', 'fencing_token', 'Token of the lease; 0: not held.', (of) => of.token);
  read('gauge', 'synchronous', '1: COMMIT waits for the journal.', (of) => Number(of.synchronous));
  read('gauge', 'fenced_writable', '1: fenced, and new sessions can still write.', (of) => {
    return Number(of.writes === 'refusing');
  });
  quantiles(registry, `${S}_ship_latency_seconds`, 'From the change to its acknowledgement.', () =>
    ship === null ? null : ship.latency.snapshot(),
  );
}

function addApply(registry: Registry, source: SidecarMetricsSource): void {
  const { apply, appliedWatermark, waitLatency, wall } = source;
  const read = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    value: (of: ApplyProgress) => number | null,
  ): void => {
    registry.read(type, { name: `${S}_apply_${name}`, help }, (emit) => {
      if (apply !== null) emit(value(apply));
    });
  };
  read('gauge', 'working', '1: applying.', ({ state }) => Number(state === 'applying'));
  read('counter', 'transactions_total', 'Transactions applied.', (of) => of.transactions);
  read('counter', 'rows_total', 'Rows applied.', (of) => of.rows);
  read('gauge', 'queued_bytes', 'Changes that wait to be applied.', (of) => of.queuedBytes);
  read('gauge', 'lag_seconds', 'Wall clock minus the watermark that is applied.', () => {
    const watermark = appliedWatermark();
    return watermark === 0 || apply?.state === 'off' ? null : (wall() - watermark) / 1e6;
  });
  quantiles(registry, `${S}_wait_latency_seconds`, 'Linearizable waits of programs.', waitLatency);
}

function quantiles(
  registry: Registry,
  name: string,
  help: string,
  snapshot: () => LatencySnapshot | null,
): void {
  const spec = { name, help: `${help} Over the last ten seconds.`, labels: ['quantile'] };
  registry.read('gauge', spec, (emit) => {
    const figures = snapshot();
    if (figures === null || figures.count === 0) return;
    emit(figures.p50 / 1e6, '0.5');
    emit(figures.p99 / 1e6, '0.99');
    emit(figures.max / 1e6, '1');
  });
}

/** The settings whose names say that they are bounds. */
function bounds(role: string, settings: object): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [name, value] of Object.entries(settings) as [string, unknown][]) {
    if (name.endsWith('Max') && typeof value === 'number') found[`${role}.${name}`] = value;
  }
  return found;
}
