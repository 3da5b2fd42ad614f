/** `meridian pg status | promote | rejoin`: asks the sidecars; what happens, happens there. */
import { MeridianError } from '../../../libs/errors/errors.ts';
import { SidecarService } from '../../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import type { StatusResponse } from '../../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { connect } from '../../../libs/rpc/rpc.ts';
import type { Channel } from '../../../libs/rpc/rpc.ts';
import { openClientSecurity } from '../../../libs/security/client-security.ts';
import { UsageError } from '../arguments.ts';
import { columns } from '../columns.ts';
import { parseReplicas } from '../endpoint.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { didYouMean } from '../suggest.ts';

const STATUS_MS = 2_000;
const WAIT_MS = 60_000;

interface Sidecar {
  readonly region: string;
  readonly address: string;
  readonly channel: Channel;
}

export async function run(call: Invocation): Promise<number> {
  const cluster = clusterOf(call);
  const { sidecars, target } = sidecarsOf(call, cluster);
  try {
    switch (call.command.path[1]) {
      case 'promote':
        return await promote(call, cluster, sidecars, target());
      case 'rejoin':
        return await rejoin(call, cluster, target());
      default:
        return await status(call, cluster, sidecars);
    }
  } finally {
    for (const { channel } of sidecars) channel.close();
  }
}

async function status(
  call: Invocation,
  cluster: string,
  sidecars: readonly Sidecar[],
): Promise<number> {
  const views = await Promise.all(
    sidecars.map(async (sidecar) => viewOf(sidecar, await ask(cluster, sidecar))),
  );
  call.output.document({ sidecars: views }, () =>
    columns([
      ['region', 'role', 'state', 'confirmed', 'applied', 'lag', ''],
      ...views.map(({ region, role, state, confirmedLsn, commitLsn, lagMs, error }) => [
        ...[region, role ?? '-', state, confirmedLsn ?? '', commitLsn ?? ''],
        ...[lagMs === null ? '' : `${lagMs} ms`, error ?? ''],
      ]),
    ]),
  );
  return views.some(({ state }) => state !== 'silent') ? EXIT.ok : EXIT.unavailable;
}

async function promote(
  call: Invocation,
  cluster: string,
  sidecars: readonly Sidecar[],
  target: Sidecar,
): Promise<number> {
  const { values, output } = call;
  const deadline = Date.now() + (values.number('wait') ?? WAIT_MS);
  const left = (): number => Math.max(1, deadline - Date.now());
  let steppedDown: string | null = null;
  if (!values.flag('no-step-down')) {
    for (const sidecar of sidecars) {
      if (sidecar === target) continue;
      const answer = await ask(cluster, sidecar);
      if (answer instanceof MeridianError || answer.ship?.state !== 'streaming') continue;
      output.note(`${sidecar.region}: stepping down`);
      const limits = { deadlineMs: left() };
      await sidecar.channel.unary(SidecarService.method.stepDown, { cluster }, limits);
      steppedDown = sidecar.region;
    }
  }
  const limits = { deadlineMs: left() };
  const done = await target.channel.unary(SidecarService.method.promote, { cluster }, limits);
  const [leaseWaitMs, takeoverMs] = [Number(done.leaseWaitMs), Number(done.takeoverMs)];
  const { sequences } = done;
  const { region } = target;
  output.document(
    { region, steppedDown, leaseWaitMs, takeoverMs, sequences },
    () => `${region} is the primary: lease after ${leaseWaitMs} ms, writes ${takeoverMs} ms later`,
  );
  return EXIT.ok;
}

async function rejoin(
  call: Invocation,
  cluster: string,
  { region, channel }: Sidecar,
): Promise<number> {
  const { values, output } = call;
  const limits = { deadlineMs: values.number('wait') ?? WAIT_MS };
  const answer = await channel.unary(SidecarService.method.rejoin, { cluster }, limits);
  const { rebuilt, discarded = null } = answer;
  output.document({ region, discarded, rebuilt }, () => {
    const lost = discarded === null ? 'an unknown number of' : String(discarded);
    return rebuilt
      ? `${region} is a replica, rebuilt from the beginning; ${lost} unacknowledged transactions discarded`
      : `${region} is a replica and goes on where it was superseded`;
  });
  return EXIT.ok;
}

async function ask(cluster: string, { channel }: Sidecar): Promise<StatusResponse | MeridianError> {
  const limits = { deadlineMs: STATUS_MS };
  try {
    return await channel.unary(SidecarService.method.status, { cluster }, limits);
  } catch (error) {
    if (error instanceof MeridianError) return error;
    throw error;
  }
}

interface View {
  readonly region: string;
  readonly address: string;
  readonly role: string | null;
  readonly state: string;
  readonly error: string | null;
  readonly synchronous: boolean | null;
  readonly confirmedLsn: string | null;
  readonly fencingToken: number | null;
  readonly watermark: number | null;
  readonly commitLsn: string | null;
  readonly lagMs: number | null;
}

function viewOf({ region, address }: Sidecar, answer: StatusResponse | MeridianError): View {
  const nothing = {
    ...{ role: null, synchronous: null, confirmedLsn: null, fencingToken: null },
    ...{ watermark: null, commitLsn: null, lagMs: null },
  };
  if (answer instanceof MeridianError) {
    return { region, address, ...nothing, state: 'silent', error: answer.message };
  }
  const { ship, apply } = answer;
  const watermark = apply === undefined || apply.watermark === 0n ? null : Number(apply.watermark);
  const error = ship?.error ?? apply?.error ?? '';
  return {
    region,
    address,
    role: answer.role === '' ? null : answer.role,
    state: stateOf(answer),
    error: error === '' ? null : error,
    synchronous: ship?.synchronous ?? null,
    confirmedLsn: ship?.confirmedLsn ?? null,
    fencingToken: ship === undefined ? null : Number(ship.fencingToken),
    watermark,
    commitLsn: apply?.commitLsn ?? null,
    lagMs: watermark === null ? null : Math.max(0, Date.now() - Math.round(watermark / 1000)),
  };
}

function stateOf({ ship, apply }: StatusResponse): string {
  const copy = ship?.state === 'copying' ? ship.copy : undefined;
  if (copy === undefined) return ship?.state ?? apply?.state ?? 'starting';
  return `copying ${copy.table}: ${copy.rows} of about ${copy.rowsEstimated} rows`;
}

/** As the commands of a journal: the option over the environment. */
function clusterOf({ values, environment, command }: Invocation): string {
  const cluster = values.text('cluster') ?? environment['MERIDIAN_CLUSTER'] ?? '';
  if (cluster === '') throw new UsageError('--cluster is missing (MERIDIAN_CLUSTER)', command);
  return cluster;
}

function sidecarsOf(
  call: Invocation,
  cluster: string,
): { sidecars: Sidecar[]; target: () => Sidecar } {
  const fail = (message: string): never => {
    throw new UsageError(message, call.command);
  };
  const given = call.values.text('sidecars');
  const [text, where] =
    given === undefined
      ? [call.environment['MERIDIAN_SIDECARS'], 'MERIDIAN_SIDECARS']
      : [given, '--sidecars'];
  const addresses =
    parseReplicas(text, where, fail) ?? fail('--sidecars is missing (MERIDIAN_SIDECARS)');
  const {
    MERIDIAN_TLS_CA: ca,
    MERIDIAN_TLS_CERTIFICATE: certificate,
    MERIDIAN_TLS_KEY: key,
  } = call.environment;
  const security = ca === undefined ? undefined : { tls: { ca, certificate, key } };
  const secure = openClientSecurity(security)?.({ cluster, role: 'sidecar' }) ?? null;
  const sidecars = addresses.map((it) => ({ ...it, channel: connect(it.address, {}, secure) }));
  const target = (): Sidecar => {
    const region = call.values.text('region') ?? '';
    const regions = addresses.map((it) => it.region);
    return (
      sidecars.find((it) => it.region === region) ??
      fail(`region ${region} is none of ${regions.join(', ')}${didYouMean(region, regions)}`)
    );
  };
  return { sidecars, target };
}
