/** What a crossbar knows of itself, as metrics: read when somebody scrapes. */
import { addLimits } from '../../libs/telemetry/limits.ts';
import type { Registry } from '../../libs/telemetry/metrics.ts';
import type { CrossbarConfig } from './config.ts';
import type { Crossbar, CrossbarLoad } from './crossbar.ts';

export interface CrossbarMetricsSource {
  readonly config: Pick<CrossbarConfig, 'cluster' | 'region' | 'limits'>;
  readonly crossbar: Pick<Crossbar, 'status' | 'load' | 'figures'>;
  readonly ready: () => boolean;
  /** Microseconds since 1970. */
  readonly wall: () => number;
}

const C = 'meridian_crossbar';

export function addCrossbarMetrics(registry: Registry, source: CrossbarMetricsSource): void {
  const { config, crossbar, ready, wall } = source;
  const gauge = (name: string, help: string, value: () => number | null): void => {
    registry.read('gauge', { name: `${C}_${name}`, help }, (emit) => {
      emit(value());
    });
  };
  const total = (name: string, help: string, value: () => number): void => {
    registry.read('counter', { name: `${C}_${name}_total`, help }, (emit) => {
      emit(value());
    });
  };
  const lag = (timestamp: number): number | null =>
    timestamp === 0 ? null : (wall() - timestamp) / 1e6;
  const { figures } = crossbar;
  registry.read(
    'gauge',
    {
      name: `${C}_info`,
      help: 'Always 1; the labels say which crossbar this is.',
      labels: ['cluster', 'region'],
    },
    (emit) => {
      emit(1, config.cluster, config.region);
    },
  );
  gauge('ready', '1: every instance has answered and is followed.', () => Number(ready()));
  gauge('watermark_timestamp_seconds', 'The merged order is final up to here.', () => {
    return crossbar.status().watermark / 1e6;
  });
  gauge('watermark_lag_seconds', 'Wall clock minus the merged watermark.', () => {
    return lag(crossbar.status().watermark);
  });
  const labels = ['instance'];
  registry.read(
    'gauge',
    {
      name: `${C}_instance_lag_seconds`,
      help: 'Wall clock minus the watermark of the instance, as it has arrived here.',
      labels,
    },
    (emit) => {
      for (const { name, watermark } of crossbar.status().instances) emit(lag(watermark), name);
    },
  );
  registry.read(
    'gauge',
    {
      name: `${C}_instance_stalling`,
      help: '1: the merged order waits for this instance.',
      labels,
    },
    (emit) => {
      for (const { name, stalling } of crossbar.status().instances) emit(Number(stalling), name);
    },
  );
  registry.read(
    'gauge',
    {
      name: `${C}_instance_source`,
      help: '1: the region whose replica is read for the instance.',
      labels: ['instance', 'source'],
    },
    (emit) => {
      for (const { name, source: from } of crossbar.status().instances) {
        if (from !== '') emit(1, name, from);
      }
    },
  );
  registry.read(
    'counter',
    {
      name: `${C}_instance_troubles_total`,
      help: 'What did not work with an instance and was tried again.',
      labels,
    },
    (emit) => {
      for (const [name, count] of figures.troubles) emit(count, name);
    },
  );
  registry.read(
    'gauge',
    { name: `${C}_subscribers`, help: 'Subscribers, by how they are served.', labels: ['state'] },
    (emit) => {
      const { subscribers } = crossbar.load();
      for (const [state, count] of Object.entries(subscribers)) emit(count, state);
    },
  );
  total('subscriptions', 'Subscriptions taken.', () => figures.subscriptions);
  total('subscriptions_refused', 'Subscriptions refused as OVERLOADED.', () => figures.refused);
  total('subscriptions_cut_off', 'Subscriptions ended as SLOW_READER.', () => figures.cutOff);
  gauge('held_bytes', "Bytes that wait for subscribers' connections.", () => {
    return crossbar.load().heldBytes;
  });
  gauge('window_bytes', 'Newest entries in memory.', () => crossbar.load().windowBytes);
  gauge('window_entries', 'Newest entries in memory, their number.', () => {
    return crossbar.load().windowEntries;
  });
  addLimits(registry, {
    prefix: C,
    limits: config.limits,
    used: () => limitUse(crossbar.load()),
  });
}

/** A bound that is added to the settings without a use here does not compile. */
export function limitUse(
  load: CrossbarLoad,
): Readonly<Record<keyof CrossbarConfig['limits'], number>> {
  const { live, catchingUp, waiting } = load.subscribers;
  return {
    windowBytesMax: load.windowBytes,
    inputBytesMax: load.inputBytes,
    subscribersMax: live + catchingUp + waiting,
    catchUpsMax: catchingUp,
    subscriberBytesMax: load.subscriberBytes,
    subscribersBytesMax: load.heldBytes,
    waitersMax: load.waiters,
    streamsPerSubscriberMax: load.subscriberStreams,
  };
}
