/**
 * A sidecar in a process: its role, tried again and again by itself, and the gRPC server. With one role it
 * ships or applies, and being fenced stops the process; with both it is a member, which does one or the
 * other (member.ts), and being fenced is a state.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { bind, startServer } from '../../libs/rpc/rpc.ts';
import type { CallContext, RpcServer, ServiceBinding } from '../../libs/rpc/rpc.ts';
import type { Security } from '../../libs/security/security.ts';
import { refusalsTo } from '../../libs/telemetry/audit.ts';
import { serveKeepers } from '../../libs/telemetry/keepers.ts';
import type { Keepers } from '../../libs/telemetry/keepers.ts';
import type { Role } from '../../libs/postgres/applied-position.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { addSecurityMetrics } from '../../libs/telemetry/security-metrics.ts';
import { ApplyProgress, apply } from './apply.ts';
import type { SidecarConfig } from './config.ts';
import type { ApplyJournal, ShipJournal } from './journal-port.ts';
import { addSidecarMetrics } from './metrics.ts';
import { LinearizableReads } from './reads.ts';
import { Member } from './member.ts';
import { keepTrying } from './retry.ts';
import { ShipProgress } from './ship-progress.ts';
import { ship } from './shipper.ts';
import { serveSqlWaits } from './sql-wait.ts';
import { applyStatus, shipStatus } from './status.ts';
import { VERSION } from './version.ts';
import { AppliedWatermark } from './watermark.ts';

export interface SidecarOptions {
  readonly config: SidecarConfig;
  readonly logger: Logger;
  /** null: served in the clear. */
  readonly security: Security | null;
  /** Where to ship; null without that role. */
  readonly shipTo: ShipJournal | null;
  /** What to apply; null without that role. */
  readonly applyFrom: ApplyJournal | null;
}

/** Longest wait of a caller that gives no deadline. */
const WAIT_MS = 10_000;
const HEALTH_MS = 250;
const CHANGE_MS = 3_600_000;
/** Trying again cannot help before a person has done something. */
const NEEDS_A_PERSON = new Set<string>([
  'REFUSED',
  'PERMISSION_DENIED',
  'UNAUTHENTICATED',
  'OUT_OF_RANGE',
  'WRONG_TARGET',
  'INVALID',
]);

const WORKED = new Set<string>(['streaming', 'applying', 'fenced']);

export class Sidecar {
  readonly #options: SidecarOptions;
  readonly #stop = new AbortController();
  readonly #ship: ShipProgress | null;
  readonly #apply: ApplyProgress | null;
  readonly #watermark = new AppliedWatermark();
  /** At a replica, and at a primary. */
  readonly #reads: Readonly<Record<Role, LinearizableReads | null>>;
  readonly #member: Member | null;
  #server: RpcServer | null = null;
  #keepers: Keepers | null = null;
  #roles: Promise<unknown>[] = [];
  #onEnd: (error: unknown) => void = () => undefined;
  #healthTimer: NodeJS.Timeout | null = null;

  constructor(options: SidecarOptions) {
    this.#options = options;
    this.#ship = options.shipTo === null ? null : new ShipProgress();
    this.#apply = options.applyFrom === null ? null : new ApplyProgress();
    const { shipTo, applyFrom } = options;
    const [ship, apply] = [this.#ship, this.#apply];
    this.#reads = {
      replica: applyFrom === null ? null : new LinearizableReads(applyFrom, this.#watermark),
      primary: ship === null ? null : LinearizableReads.atPrimary(ship),
    };
    const isMember = shipTo !== null && applyFrom !== null && ship !== null && apply !== null;
    this.#member = isMember
      ? new Member({
          ...{ ...options, shipTo, applyFrom, watermark: this.#watermark, ship, apply },
          answerReads: (role, signal) => this.#keepAnswering(role, signal),
          onEnd: (error) => {
            this.#onEnd(error);
          },
        })
      : null;
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  /** Listens, then starts the roles. `onEnd` is told what ends one of them for good. */
  async start(onEnd: (error: unknown) => void): Promise<void> {
    const { config, logger, security, shipTo, applyFrom } = this.#options;
    this.#onEnd = onEnd;
    this.#server = await startServer({
      address: config.listen,
      services: [this.#service()],
      limits: { ...config.connections, ...config.access },
      security: security?.forClients(config.cluster),
      onRefused: refusalsTo(logger),
      onError: (error, method) => {
        logger.error({ error, method }, 'a call failed');
      },
      onWarning: (message) => {
        logger.warn(message);
      },
    });
    const registry = new Registry();
    addSidecarMetrics(registry, {
      config,
      ship: this.#ship,
      apply: this.#apply,
      appliedWatermark: () => this.#watermark.value,
      waitLatency: () => this.#readsHere?.latency.snapshot() ?? null,
      wall: () => Date.now() * 1000,
    });
    addSecurityMetrics(registry, {
      ports: () => ({ clients: this.#server }),
      security,
      limits: config.connections,
    });
    this.#keepers = await serveKeepers({
      service: 'sidecar',
      version: VERSION,
      address: config.metricsListen,
      tls: config.metricsTls ? (security?.forHttp(config.cluster) ?? null) : null,
      forAnybody: config.tls.plaintextBeyondLoopback,
      registry,
      logger,
      notReady: () => this.#obstacle(),
    });
    logger.info(
      { listen: config.listen, port: this.#server.port, roles: config.roles },
      'listening',
    );
    const run = (role: Promise<void>): void => {
      this.#roles.push(role.catch(onEnd));
    };
    if (this.#member !== null) run(this.#keepMember(this.#member));
    else if (shipTo !== null) run(this.#keepShipping(shipTo));
    else if (applyFrom !== null) run(this.#keepApplying(applyFrom));
    if (this.#member === null && applyFrom !== null) {
      run(this.#keepAnswering('replica', this.#stop.signal));
    }
    this.#healthTimer = setInterval(() => {
      this.#tellHealth();
    }, HEALTH_MS);
  }

  /** Ends the roles in order: what is under way is confirmed or committed, then the server closes. */
  async stop(): Promise<void> {
    if (this.#healthTimer !== null) clearInterval(this.#healthTimer);
    this.#server?.setServing(false);
    this.#stop.abort();
    await Promise.all(this.#roles);
    await this.#member?.close();
    await this.#server?.close(this.#options.config.timings.drainMs);
    await this.#keepers?.close();
  }

  async #keepShipping(journal: ShipJournal): Promise<void> {
    const { config, logger } = this.#options;
    const status = this.#ship ?? new ShipProgress();
    const { postgres: address, ship: settings, timings } = config;
    await this.#keep('ship', [status], (signal) => {
      status.state = 'connecting';
      const answerReads = (until: AbortSignal): Promise<void> =>
        this.#keepAnswering('primary', until);
      return ship({ address, settings, timings, journal, logger, status, answerReads }, signal);
    });
  }

  async #keepMember(member: Member): Promise<void> {
    const both = [this.#ship ?? new ShipProgress(), this.#apply ?? new ApplyProgress()];
    await this.#keep('member', both, (signal) => member.run(signal));
  }

  async #keepApplying(journal: ApplyJournal): Promise<void> {
    const { config, logger } = this.#options;
    const status = this.#apply ?? new ApplyProgress();
    const watermark = this.#watermark;
    const { postgres: address, apply: settings } = config;
    const { drainMs } = config.timings;
    await this.#keep('apply', [status], (signal) => {
      status.state = 'connecting';
      return apply({ address, settings, journal, watermark, logger, status, drainMs }, signal);
    });
  }

  /**
   * A role that never worked and cannot work ends; one that did is tried for ever, and a primary that the
   * stream has gone on without is waiting for `rejoin`, whatever else is wrong with it.
   */
  async #keep(
    role: 'ship' | 'apply' | 'member',
    progress: readonly (ShipProgress | ApplyProgress)[],
    attempt: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { timings } = this.#options.config;
    let worked = false;
    await keepTrying(
      attempt,
      {
        role,
        logger: this.#options.logger,
        retryMs: timings.retryMs,
        retryMsMax: timings.retryMsMax,
        onFailure: (error) => {
          this.#tellFailure(progress, error);
        },
        endsWith: (error) => {
          worked ||= progress.some(({ state }) => WORKED.has(state));
          if (error.reason === 'WRITER_FENCED') return true;
          if (error.reason === 'FENCED') return role !== 'member';
          return !worked && NEEDS_A_PERSON.has(error.reason);
        },
      },
      this.#stop.signal,
    );
  }

  #tellFailure(progress: readonly (ShipProgress | ApplyProgress)[], error: MeridianError): void {
    const handedOver = error.reason === 'FENCED' && error.details['current'] !== undefined;
    for (const status of progress) {
      if (status.state === 'off') continue;
      if (handedOver && status instanceof ShipProgress) {
        this.#member?.refuseWrites();
        status.state = 'fenced';
      } else status.state = 'waiting';
      status.error = `${error.reason}: ${error.message}`;
    }
    this.#tellHealth();
  }

  async #keepAnswering(role: Role, until: AbortSignal): Promise<void> {
    const { config, logger } = this.#options;
    const reads = this.#reads[role];
    if (reads === null || !config.apply.sqlWait) return;
    const { retryMs, retryMsMax } = config.timings;
    await keepTrying(
      (signal) =>
        serveSqlWaits({ address: config.postgres, name: config.apply.name, reads, logger }, signal),
      {
        role: 'reads',
        logger,
        retryMs,
        retryMsMax,
        onFailure: () => undefined,
        endsWith: () => false,
      },
      until,
    );
  }

  /** Serving: every role works. */
  #tellHealth(): void {
    this.#server?.setServing(this.#obstacle() === null);
  }

  /** null: every role works. */
  #obstacle(): string | null {
    for (const [role, progress, well] of [
      ['ship', this.#ship, 'streaming'],
      ['apply', this.#apply, 'applying'],
    ] as const) {
      if (progress === null || progress.state === well || progress.state === 'off') continue;
      return `${role} is ${progress.state}${progress.error === '' ? '' : `: ${progress.error}`}`;
    }
    return null;
  }

  #service(): ServiceBinding {
    return bind(SidecarService, {
      wait: async ({ cluster, readPoint }, context) => {
        this.#checkCluster(cluster);
        const reads = this.#readsHere;
        if (reads === null) throw new MeridianError('UNAVAILABLE', 'starting: no role yet');
        const signal = deadlineOf(context);
        // A primary holds whatever any read point covers, or is none any more.
        const isPlain = readPoint === 0n || reads === this.#reads.primary;
        const answer = isPlain
          ? await reads.wait(signal)
          : await reads.waitFor(Number(readPoint), signal);
        return { readPoint: BigInt(answer.readPoint), watermark: BigInt(answer.watermark) };
      },
      status: ({ cluster }) => {
        this.#checkCluster(cluster);
        return Promise.resolve({
          cluster: this.#options.config.cluster,
          region: this.#options.config.region,
          version: VERSION,
          role: this.#member?.role ?? '',
          ...(isOn(this.#ship) ? { ship: shipStatus(this.#ship) } : {}),
          ...(isOn(this.#apply)
            ? { apply: applyStatus(this.#apply, this.#watermark, this.#reads.replica) }
            : {}),
        });
      },
      promote: async ({ cluster }, context) => {
        const done = await this.#memberOf(cluster).promote(limitOf(context));
        const [leaseWaitMs, takeoverMs] = [BigInt(done.leaseWaitMs), BigInt(done.takeoverMs)];
        return { leaseWaitMs, takeoverMs, sequences: done.sequences };
      },
      stepDown: async ({ cluster }, context) => {
        await this.#memberOf(cluster).stepDown(limitOf(context));
        return {};
      },
      rejoin: async ({ cluster }, context) => {
        const { discarded, rebuilt } = await this.#memberOf(cluster).rejoin(limitOf(context));
        return { rebuilt, ...(discarded === null ? {} : { discarded }) };
      },
    });
  }

  /** null: a member that does not know yet what its database is. */
  get #readsHere(): LinearizableReads | null {
    const only: Role = this.#apply === null ? 'primary' : 'replica';
    const role = this.#member === null ? only : this.#member.role;
    return role === null ? null : this.#reads[role];
  }

  #memberOf(cluster: string): Member {
    this.#checkCluster(cluster);
    if (this.#member !== null) return this.#member;
    throw new MeridianError(
      'REFUSED',
      'this sidecar has one role only: configure both to change it',
    );
  }

  #checkCluster(actual: string): void {
    const expected = this.#options.config.cluster;
    if (actual === expected) return;
    throw new MeridianError(
      'WRONG_TARGET',
      `this is cluster ${expected}, the call is for ${JSON.stringify(actual)}`,
      { details: { expected, actual } },
    );
  }
}

function isOn<T extends { readonly state: string }>(progress: T | null): progress is T {
  return progress !== null && progress.state !== 'off';
}

/** A change of role takes as long as the caller waits. */
function limitOf({ signal, deadline }: CallContext): AbortSignal {
  const left = Math.max(0, Math.min(deadline - Date.now(), CHANGE_MS));
  return AbortSignal.any([signal, AbortSignal.timeout(left)]);
}

function deadlineOf({ signal, deadline }: CallContext): AbortSignal {
  const left = Math.max(0, Math.min(deadline - Date.now(), WAIT_MS));
  return AbortSignal.any([signal, AbortSignal.timeout(left)]);
}
