/**
 * What every process says about itself: processor, memory, event loop, garbage collection, file
 * descriptors, build. Names as other Prometheus clients use them, so that existing dashboards work.
 */
import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import type { Registry } from './metrics.ts';

export interface Build {
  readonly service: string;
  readonly version: string;
}

const DELAY_RESOLUTION_MS = 20;
const DELAY_WINDOW_MS = 15_000;
const GC_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
/** `detail.kind` of a garbage collection entry, see node:perf_hooks constants. */
const GC_KINDS: Readonly<Record<number, string>> = {
  1: 'minor',
  4: 'major',
  8: 'incremental',
  16: 'weakcb',
};

/** Watches from now on; the returned function stops. */
export function addProcessMetrics(registry: Registry, build: Build): () => void {
  const gauge = (name: string, help: string, value: () => number | null): void => {
    registry.read('gauge', { name, help }, (emit) => {
      emit(value());
    });
  };
  registry.read(
    'gauge',
    {
      name: 'meridian_build_info',
      help: 'Always 1; the labels say what runs.',
      labels: ['service', 'version', 'node'],
    },
    (emit) => {
      emit(1, build.service, build.version, process.version);
    },
  );
  registry.read(
    'counter',
    { name: 'process_cpu_seconds_total', help: 'Processor time used, user and system.' },
    (emit) => {
      const { user, system } = process.cpuUsage();
      emit((user + system) / 1e6);
    },
  );
  const startedAt = Math.round(Date.now() / 1000 - process.uptime());
  gauge('process_start_time_seconds', 'Start of the process since 1970.', () => startedAt);
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge('process_open_fds', 'Open file descriptors.', openDescriptors);
  registry.read(
    'gauge',
    {
      name: 'nodejs_memory_bytes',
      help: 'Memory of V8 and of buffers, by kind.',
      labels: ['kind'],
    },
    (emit) => {
      const { heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
      emit(heapUsed, 'heap_used');
      emit(heapTotal, 'heap_total');
      emit(external, 'external');
      emit(arrayBuffers, 'array_buffers');
    },
  );
  const stopDelay = addEventLoopDelay(registry);
  const stopGc = addGarbageCollection(registry);
  return () => {
    stopDelay();
    stopGc();
  };
}

function addEventLoopDelay(registry: Registry): () => void {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  let since = performance.now();
  registry.read(
    'gauge',
    {
      name: 'nodejs_eventloop_delay_seconds',
      help: 'How late timers ran, over the last seconds.',
      labels: ['quantile'],
    },
    (emit) => {
      // The histogram counts the whole interval of its timer, which is no delay.
      const seconds = (nanoseconds: number): number =>
        Math.max(0, nanoseconds / 1e9 - DELAY_RESOLUTION_MS / 1000);
      if (delay.count > 0) {
        emit(seconds(delay.percentile(50)), '0.5');
        emit(seconds(delay.percentile(99)), '0.99');
        emit(seconds(delay.max), '1');
      }
      if (performance.now() - since < DELAY_WINDOW_MS) return;
      since = performance.now();
      delay.reset();
    },
  );
  return () => {
    delay.disable();
  };
}

function addGarbageCollection(registry: Registry): () => void {
  const pauses = registry.histogram({
    name: 'nodejs_gc_duration_seconds',
    help: 'Pauses of the garbage collector, by kind.',
    labels: ['kind'],
    bounds: GC_BOUNDS,
  });
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind = 0 } = (entry as { detail?: { kind?: number } }).detail ?? {};
      pauses.with(GC_KINDS[kind] ?? 'other').observe(entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => {
    observer.disconnect();
  };
}

/** null where the system does not tell. */
function openDescriptors(): number | null {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}
