/** A crossbar on the network: its instances, its gRPC server, starting and stopping in order. */
import type { MeridianError } from '../../libs/errors/errors.ts';
import { startServer } from '../../libs/rpc/rpc.ts';
import type { RpcServer } from '../../libs/rpc/rpc.ts';
import { openSecurity } from '../../libs/security/security.ts';
import { auditTo, refusalsTo } from '../../libs/telemetry/audit.ts';
import { serveKeepers } from '../../libs/telemetry/keepers.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { addSecurityMetrics } from '../../libs/telemetry/security-metrics.ts';
import type { CrossbarConfig } from './config.ts';
import { Crossbar } from './crossbar.ts';
import { connectInstance } from './journal-instance.ts';
import { addCrossbarMetrics } from './metrics.ts';
import { crossbarService } from './service.ts';
import { VERSION } from './version.ts';

export interface CrossbarServer {
  readonly port: number;
  /** Subscribers are told to resume elsewhere. */
  stop(): Promise<void>;
}

export interface CrossbarServerOptions {
  readonly config: CrossbarConfig;
  readonly logger: Logger;
  /** What was received cannot be passed on; must end the process. */
  readonly fatal: (error: unknown) => void;
}

/** Errors: REFUSED when the address cannot be listened on. */
export async function startCrossbarServer(options: CrossbarServerOptions): Promise<CrossbarServer> {
  const { config, logger, fatal } = options;
  const { cluster, region } = config;
  const troubles = new Troubles(logger);
  const self = { cluster, role: 'crossbar', names: [region] } as const;
  const security = openSecurity(config, self, auditTo(logger));
  if (security === null && config.tls.plaintextBeyondLoopback) {
    logger.warn('DANGEROUS: served in the clear; whoever reaches the port may do everything');
  }
  const crossbar = new Crossbar({
    cluster,
    instances: config.instances.map((instance) => connectInstance(config, instance, security)),
    connect: (joined) => {
      const { name, number } = joined;
      const moved = config.joined.find((each) => each.name === name && each.number === number);
      const { replicas } = moved ?? joined;
      logger.info(
        { instance: name, number, replicas },
        'connecting to an instance that has joined',
      );
      return connectInstance(config, { name, number, replicas }, security);
    },
    settings: { ...config.timings, ...config.limits },
    now: () => performance.now(),
    wall: () => Date.now() * 1000,
    onTrouble: (instance, error) => {
      troubles.report(instance, error);
    },
    onFatal: fatal,
    onReady: () => {
      server.setServing(true);
      logger.info({ watermark: crossbar.watermark }, 'following every instance');
    },
  });
  const registry = new Registry();
  const wall = (): number => Date.now() * 1000;
  addCrossbarMetrics(registry, { config, crossbar, ready: () => crossbar.ready, wall });
  let listening: RpcServer | null = null;
  addSecurityMetrics(registry, {
    ports: () => ({ clients: listening }),
    security,
    limits: { ...config.connections, ...config.access },
  });
  const keepers = await serveKeepers({
    service: 'crossbar',
    version: VERSION,
    address: config.metricsListen,
    tls: config.metricsTls ? (security?.forHttp(config.cluster) ?? null) : null,
    forAnybody: config.tls.plaintextBeyondLoopback,
    registry,
    logger,
    notReady: () => (crossbar.ready ? null : 'not every instance has answered yet'),
  });
  const server = await startServer({
    address: config.listen,
    services: [crossbarService(crossbar, { cluster, region })],
    limits: config.connections,
    security: security?.forClients(cluster),
    onRefused: refusalsTo(logger),
    onError: (error, method) => {
      logger.error({ error, method }, 'a call failed');
    },
    onWarning: (message) => {
      logger.warn(message);
    },
  });
  listening = server;
  // Whoever calls before the health service says so is served, by a merge of its own.
  crossbar.start();
  logger.info({ listen: config.listen, port: server.port }, 'listening');
  return {
    port: server.port,
    stop: async () => {
      crossbar.stop();
      await server.close(config.timings.drainMs);
      await keepers.close();
    },
  };
}

/** Says once what does not work, not at every attempt. */
class Troubles {
  readonly #logger: Logger;
  readonly #last = new Map<string, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  report(instance: string, error: MeridianError): void {
    if (this.#last.get(instance) === error.message) return;
    this.#last.set(instance, error.message);
    this.#logger.warn({ instance, reason: error.reason }, error.message);
  }
}
