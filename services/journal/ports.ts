/**
 * Everything a replica listens on: its peers, its clients (gRPC and HTTP), and who looks after it. Opened
 * together or not at all; closed one after the other by the replica, which knows what must still be
 * answered. A witness has the port of clients too, and refuses them there by name (witness.ts).
 */
import type { RpcServer, ServiceBinding } from '../../libs/rpc/rpc.ts';
import type { Security } from '../../libs/security/security.ts';
import { serveKeepers } from '../../libs/telemetry/keepers.ts';
import type { Keepers } from '../../libs/telemetry/keepers.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { Registry } from '../../libs/telemetry/metrics.ts';
import type { JournalConfig } from './config.ts';
import type { Health } from './health.ts';
import type { ConsoleSource } from './http/console-routes.ts';
import { serveHttp } from './http/serve-http.ts';
import type { HttpFront } from './http/serve-http.ts';
import { listen } from './listeners.ts';
import { VERSION } from './version.ts';
import { ofWitness } from './witness.ts';

export interface PortsOptions {
  readonly config: JournalConfig;
  readonly security: Security | null;
  readonly logger: Logger;
  readonly fatal: (error: unknown, what: string) => void;
  readonly registry: Registry;
  readonly health: Pick<Health, 'serving' | 'obstacle'>;
  readonly peers: ServiceBinding;
  readonly journal: ServiceBinding;
  readonly streams: ServiceBinding;
  readonly console: ConsoleSource;
}

/** Longest wait for open calls when a port is closed. */
const CLOSE_MS = 1000;

export class Ports {
  readonly forClients: RpcServer;
  readonly forPeers: RpcServer;
  readonly http: HttpFront | null;
  readonly #keepers: Keepers;
  readonly #witness: boolean;

  private constructor(
    servers: { readonly forClients: RpcServer; readonly forPeers: RpcServer },
    http: HttpFront | null,
    keepers: Keepers,
    witness: boolean,
  ) {
    this.forClients = servers.forClients;
    this.forPeers = servers.forPeers;
    this.http = http;
    this.#keepers = keepers;
    this.#witness = witness;
  }

  static async open(options: PortsOptions): Promise<Ports> {
    const { config, security, logger, fatal, health, journal, streams } = options;
    const clientServices = [journal, streams];
    const open: { close: () => Promise<void> | void }[] = [];
    try {
      const keepers = await serveKeepers({
        service: 'journal',
        version: VERSION,
        address: config.metricsListen,
        tls: config.metricsTls ? (security?.forHttp(config.cluster) ?? null) : null,
        forAnybody: config.tls.plaintextBeyondLoopback,
        registry: options.registry,
        logger,
        notReady: () => (health.serving ? null : (health.obstacle()?.message ?? 'not serving yet')),
      });
      open.push(keepers);
      const servers = await listen({
        config,
        security,
        logger,
        fatal,
        peerServices: [options.peers],
        clientServices: config.witness ? ofWitness(clientServices, config.region) : clientServices,
      });
      open.push({ close: () => servers.forClients.close(0) });
      open.push({ close: () => servers.forPeers.close(0) });
      const http = await serveHttp({
        config,
        gate: security?.access ?? null,
        tls: security?.forHttp(config.cluster) ?? null,
        journal,
        streams,
        console: options.console,
        onError: (error, what) => {
          fatal(error, `${what} failed`);
        },
      });
      return new Ports(servers, http, keepers, config.witness);
    } catch (error) {
      for (const each of open.reverse()) await each.close();
      throw error;
    }
  }

  /** What the health service says; to clients a witness never says that it serves. */
  setServing(serving: boolean): void {
    this.forClients.setServing(serving && !this.#witness);
    this.forPeers.setServing(serving);
  }

  async closeToClients(): Promise<void> {
    await this.http?.close();
    await this.forClients.close(CLOSE_MS);
  }

  closeToPeers(): Promise<void> {
    return this.forPeers.close(CLOSE_MS);
  }

  async closeToKeepers(): Promise<void> {
    await this.#keepers.close();
  }
}
