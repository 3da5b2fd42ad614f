/**
 * Serves the registry of a process to its keepers, with what every process says about itself; does
 * nothing where no address is set.
 */
import type { HttpTls } from '../http/listening.ts';
import type { Logger } from './logger.ts';
import { startMetricsServer } from './metrics-server.ts';
import type { Registry } from './metrics.ts';
import { addProcessMetrics } from './process-metrics.ts';
import type { Build } from './process-metrics.ts';

export interface KeepersOptions extends Build {
  /** undefined: not served. */
  readonly address: string | undefined;
  /** null: in the clear. */
  readonly tls: HttpTls | null;
  /** true: metrics go to everybody who can connect, as the configuration says in so many words. */
  readonly forAnybody: boolean;
  readonly registry: Registry;
  readonly logger: Pick<Logger, 'info'>;
  /** null: ready; else why not. */
  readonly notReady: () => string | null;
}

export interface Keepers {
  close(): Promise<void>;
}

/** Errors: REFUSED when the address cannot be listened on. */
export async function serveKeepers(options: KeepersOptions): Promise<Keepers> {
  const { address, registry, logger, notReady, service, version, tls, forAnybody } = options;
  const stop = addProcessMetrics(registry, { service, version });
  if (address === undefined) {
    stop();
    return { close: () => Promise.resolve() };
  }
  const server = await startMetricsServer({ address, registry, notReady, tls, forAnybody });
  logger.info({ port: server.port }, 'metrics are served');
  return {
    close: () => {
      stop();
      return server.close();
    },
  };
}
