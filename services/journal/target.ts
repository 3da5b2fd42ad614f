/** Whom a call is meant for: every call names cluster and instance, and a wrong one is refused. */
import { MeridianError } from '../../libs/errors/errors.ts';

export interface NamedTarget {
  readonly cluster: string;
  readonly instance: string;
}

export class Target implements NamedTarget {
  readonly cluster: string;
  readonly instance: string;

  constructor(cluster: string, instance: string) {
    this.cluster = cluster;
    this.instance = instance;
  }

  /** Throws `WRONG_TARGET`. */
  check(meant: NamedTarget | undefined): void {
    if (meant === undefined) {
      throw new MeridianError('INVALID', 'the call does not name its target (cluster, instance)');
    }
    for (const field of ['cluster', 'instance'] as const) {
      if (meant[field] === this[field]) continue;
      throw new MeridianError(
        'WRONG_TARGET',
        `this is ${field} ${JSON.stringify(this[field])}, the call is meant for ${JSON.stringify(meant[field])}`,
        { details: { field, expected: meant[field], actual: this[field] } },
      );
    }
  }
}
