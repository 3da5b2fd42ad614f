/** Connections of a server's ports, and what was refused, the same in every service. */
import { addLimits } from './limits.ts';
import type { Registry } from './metrics.ts';

interface Connections {
  readonly open: number;
  readonly refused: Readonly<Record<string, number>>;
}

export interface SecurityMetricsSource {
  /** By name of the port, once it listens. */
  readonly ports: () => Readonly<Record<string, { readonly connections: Connections } | null>>;
  /** null: served in the clear. */
  readonly security: {
    readonly figures: {
      readonly unauthenticated: number;
      readonly permissionDenied: number;
      readonly rateLimited: number;
      /** Milliseconds since 1970. */
      readonly expiresAt: number;
    };
  } | null;
  /** The settings `connections` and `access`. */
  readonly limits: Readonly<Record<string, unknown>>;
}

const S = 'meridian_server';

export function addSecurityMetrics(registry: Registry, source: SecurityMetricsSource): void {
  const { ports, security, limits } = source;
  registry.read(
    'gauge',
    { name: `${S}_connections`, help: 'Open connections of a port.', labels: ['port'] },
    (emit) => {
      for (const [port, server] of Object.entries(ports())) {
        if (server !== null) emit(server.connections.open, port);
      }
    },
  );
  registry.read(
    'counter',
    {
      name: `${S}_connections_refused_total`,
      help: 'Connections closed for breaking a bound or for their certificate.',
      labels: ['port', 'reason'],
    },
    (emit) => {
      for (const [port, server] of Object.entries(ports())) {
        if (server === null) continue;
        for (const [why, count] of Object.entries(server.connections.refused))
          emit(count, port, why);
      }
    },
  );
  registry.read(
    'counter',
    {
      name: `${S}_calls_denied_total`,
      help: 'Calls refused: nobody, not granted, or over the rate of the principal.',
      labels: ['reason'],
    },
    (emit) => {
      if (security === null) return;
      const { unauthenticated, permissionDenied, rateLimited } = security.figures;
      emit(unauthenticated, 'unauthenticated');
      emit(permissionDenied, 'permission_denied');
      emit(rateLimited, 'rate');
    },
  );
  registry.read(
    'gauge',
    {
      name: `${S}_certificate_expiry_timestamp_seconds`,
      help: 'When the own certificate expires, seconds since 1970; missing where there is none.',
    },
    (emit) => {
      emit(security === null ? null : security.figures.expiresAt / 1000);
    },
  );
  addLimits(registry, {
    prefix: S,
    limits,
    used: () => {
      const open = Object.values(ports()).map((port) => port?.connections.open ?? 0);
      return { connectionsMax: Math.max(0, ...open) };
    },
  });
}
