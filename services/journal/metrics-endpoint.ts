/**
 * The keepers' endpoint of a replica: its registry served on `metricsListen`, where that is set.
 * Counting goes on without it, because it costs nothing; only reading needs an address.
 */
import { addProcessMetrics } from '../../libs/telemetry/process-metrics.ts';
import { startMetricsServer } from '../../libs/telemetry/metrics-server.ts';
import type { Registry } from '../../libs/telemetry/metrics.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { addJournalMetrics } from './metrics.ts';
import type { JournalMetricsSource } from './metrics.ts';
import { VERSION } from './version.ts';

export interface MetricsEndpoint {
  close(): Promise<void>;
}

export interface MetricsEndpointOptions {
  /** undefined: not served. */
  readonly address: string | undefined;
  readonly registry: Registry;
  readonly source: JournalMetricsSource;
  readonly logger: Pick<Logger, 'info'>;
  /** null: takes appends; else why not. */
  readonly notReady: () => string | null;
}

/** Errors: REFUSED when the address cannot be listened on. */
export async function serveMetrics(options: MetricsEndpointOptions): Promise<MetricsEndpoint> {
  const { address, registry, source, notReady, logger } = options;
  if (address === undefined) return { close: () => Promise.resolve() };
  addJournalMetrics(registry, source);
  const stop = addProcessMetrics(registry, { service: 'journal', version: VERSION });
  const server = await startMetricsServer({ address, registry, notReady });
  logger.info({ port: server.port }, 'metrics are served');
  return {
    close: () => {
      stop();
      return server.close();
    },
  };
}
