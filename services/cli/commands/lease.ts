/** `meridian lease acquire | renew | release | inspect`. */
import type { Journal } from '../../../libs/client/client.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { acquireWithin, defaultHolder } from '../lease-wait.ts';
import { withJournal } from '../session.ts';
import { leaseJson, leaseText } from '../stream-view.ts';

const TTL_MS = 30_000;

export function run(call: Invocation): Promise<number> {
  return withJournal(call, (journal) => {
    switch (call.command.path[1]) {
      case 'acquire':
        return acquire(call, journal);
      case 'renew':
        return renew(call, journal);
      case 'release':
        return release(call, journal);
      default:
        return inspect(call, journal);
    }
  });
}

async function acquire(call: Invocation, journal: Journal): Promise<number> {
  const { values, output } = call;
  const stream = values.text('stream') ?? '';
  const holder = values.text('holder') ?? defaultHolder();
  const options = { holder, ttlMs: values.number('ttl') ?? TTL_MS };
  const lease = await acquireWithin(journal, stream, options, values.number('wait') ?? 0);
  if (lease === null) return EXIT.interrupted;
  output.document({ stream, ...leaseJson(lease) }, () =>
    values.flag('quiet') ? String(lease.token) : `${stream}: ${leaseText(lease)}`,
  );
  return EXIT.ok;
}

async function renew(call: Invocation, journal: Journal): Promise<number> {
  const { values, output } = call;
  const stream = values.text('stream') ?? '';
  const ttlMs = values.number('ttl') ?? TTL_MS;
  const lease = await journal.renewLease(stream, heldBy(call), { ttlMs });
  output.document({ stream, ...leaseJson(lease) }, () => `${stream}: ${leaseText(lease)}`);
  return EXIT.ok;
}

async function release(call: Invocation, journal: Journal): Promise<number> {
  const stream = call.values.text('stream') ?? '';
  const released = await journal.releaseLease(stream, heldBy(call));
  call.output.document({ stream, released }, () =>
    released ? `${stream}: released` : `${stream}: it was lost already`,
  );
  return EXIT.ok;
}

async function inspect(call: Invocation, journal: Journal): Promise<number> {
  const stream = call.values.text('stream') ?? '';
  const { lease, fencingToken } = await journal.describeStream(stream);
  const value = { stream, held: lease !== null, fencingToken };
  call.output.document(
    { ...value, lease: lease === null ? null : leaseJson(lease) },
    () => `${stream}: ${leaseText(lease)}`,
  );
  return EXIT.ok;
}

function heldBy({ values }: Invocation): { holder: string; token: number } {
  return { holder: values.text('holder') ?? '', token: values.number('token') ?? 0 };
}
