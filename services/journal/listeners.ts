/**
 * The two ports of a replica and who may connect to them. Clients and peers have ports, bounds of
 * connections and rates of their own, so what clients do to theirs leaves the links between the
 * replicas alone.
 */
import type { Expected } from '../../libs/security/identity.ts';
import { openSecurity } from '../../libs/security/security.ts';
import type { Security } from '../../libs/security/security.ts';
import { startServer } from '../../libs/rpc/rpc.ts';
import type { RpcServer, ServiceBinding } from '../../libs/rpc/rpc.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { auditTo, refusalsTo } from '../../libs/telemetry/audit.ts';
import type { JournalConfig } from './config.ts';

export function replicaNamed(
  { cluster, instance }: JournalConfig,
  region: string | null,
): Expected {
  return { cluster, role: 'replica', names: [instance, region] };
}

/** null: in the clear. Errors: REFUSED when the certificate is not this replica's. */
export function openReplicaSecurity(config: JournalConfig, logger: Logger): Security | null {
  const security = openSecurity(config, replicaNamed(config, config.region), auditTo(logger));
  if (security === null && config.tls.plaintextBeyondLoopback) {
    logger.warn('DANGEROUS: served in the clear; whoever reaches the ports may do everything');
  }
  return security;
}

export interface Listeners {
  readonly forPeers: RpcServer;
  readonly forClients: RpcServer;
}

export interface ListenersOptions {
  readonly config: JournalConfig;
  readonly security: Security | null;
  readonly logger: Logger;
  readonly fatal: (error: unknown, what: string) => void;
  readonly peerServices: readonly ServiceBinding[];
  readonly clientServices: readonly ServiceBinding[];
}

/** Both or none. */
export async function listen(options: ListenersOptions): Promise<Listeners> {
  const { config, security, logger, fatal } = options;
  const { limits, connections } = config;
  const common = {
    limits: {
      ...connections,
      receiveBytesMax: Math.max(4 << 20, limits.windowBytes) + (64 << 10),
    },
    onError: (error: unknown, method: string) => {
      fatal(error, `${method} failed`);
    },
    onWarning: (warning: string) => {
      logger.warn(warning);
    },
    onRefused: refusalsTo(logger),
  };
  const forPeers = await startServer({
    ...common,
    address: config.peerListen,
    services: options.peerServices,
    security: security?.forPeers(replicaNamed(config, null)),
  });
  try {
    const forClients = await startServer({
      ...common,
      address: config.listen,
      services: options.clientServices,
      security: security?.forClients(config.cluster),
    });
    return { forPeers, forClients };
  } catch (error) {
    await forPeers.close(0);
    throw error;
  }
}
