/**
 * What a witness serves where the other replicas serve clients: what it says of itself, and the refusal of
 * all else. The refusal is typed and certainly without effect, and names the witness in its details,
 * so that a client library goes to another region and does not come back (libs/client/regions.ts).
 *
 * A witness is a replica in all else: its log, votes, order and checkpoints are those of the others, because
 * they recover from it (libs/lane/SPEC.md §7).
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { ServiceBinding } from '../../libs/rpc/rpc.ts';
import { bind } from '../../libs/rpc/rpc.ts';

/** Calls about the replica itself. */
const SERVED: ReadonlySet<string> = new Set(['status', 'locate']);

/** The same services, refusing what is for clients. */
export function ofWitness(
  services: readonly ServiceBinding[],
  region: string,
): readonly ServiceBinding[] {
  const refuse = (): never => {
    throw new MeridianError(
      'UNAVAILABLE',
      `the replica of ${region} is a witness: it votes and serves no clients; use another region`,
      { details: { witness: region } },
    );
  };
  return services.map(({ service, handlers, serializers }) => {
    const mine = service.methods.map(({ localName }) => [
      localName,
      SERVED.has(localName) ? handlers[localName] : refuse,
    ]);
    return bind(service as never, Object.fromEntries(mine) as never, serializers as never);
  });
}
