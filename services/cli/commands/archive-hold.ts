/** `meridian archive hold` and `release`: readers that are registered in an archive. */
import { tightestHold, withHold, withoutHold } from '../../../libs/archive/removal.ts';
import { openCatalog, placeOf } from '../archive-place.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { timeText } from '../units.ts';

const DEFAULT_MS = 7 * 86_400_000;

export function run(call: Invocation): Promise<number> {
  return call.command.path[1] === 'hold' ? hold(call) : release(call);
}

async function hold({ values, output }: Invocation): Promise<number> {
  const catalog = await openCatalog(placeOf(values));
  const now = Date.now();
  const name = values.text('name') ?? '';
  const timestamp = values.number('from') ?? now * 1000;
  const expiresAt = now + (values.number('for') ?? DEFAULT_MS);
  const made = { name, timestamp, expiresAt };
  const { goneTo, holds } = await catalog.commit((manifest) => withHold(manifest, made, now));
  catalog.store.close();
  if (goneTo > timestamp) {
    output.warn(`everything up to ${timeText(goneTo)} is deleted already`);
  }
  const until = new Date(expiresAt).toISOString();
  output.document(
    { name, timestamp, expiresAt: until, goneTo },
    () =>
      `${name} holds what is behind ${timeText(timestamp)} until ${until}; holds: ${holds.length}`,
  );
  return EXIT.ok;
}

async function release({ values, output }: Invocation): Promise<number> {
  const catalog = await openCatalog(placeOf(values));
  const now = Date.now();
  const name = values.text('name') ?? '';
  const outcome = { isThere: false };
  const manifest = await catalog.commit((before) => {
    const after = withoutHold(before, name, now);
    outcome.isThere = after !== null;
    return after;
  });
  catalog.store.close();
  const { isThere } = outcome;
  const tightest = tightestHold(manifest, now);
  output.document({ name, released: isThere, heldBy: tightest?.name ?? null }, () =>
    isThere ? `${name} holds nothing any more` : `there is no hold ${name}`,
  );
  return isThere ? EXIT.ok : EXIT.notFound;
}
