/**
 * A replica that is told by a peer that it has forgotten (libs/lane/SPEC.md, M4): its directory was put
 * back from an older copy, or a machine whose clock stands behind took its place. It takes no part from
 * that moment on. As soon as both others can fill a new directory the old one is set aside, never
 * deleted, and the replica begins anew; while one of them is away it waits, because what it still
 * holds may be the only copy left.
 */
import type { LaneCore } from '../../libs/lane/core.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { Frame, PendingAppend } from './content.ts';

export interface VoidWatchOptions {
  readonly core: Pick<LaneCore<Frame, PendingAppend>, 'voided' | 'othersVote'>;
  /** The new directory must be of an incarnation above this one. */
  readonly onAnew: (above: number) => void;
  readonly logger: Pick<Logger, 'error'>;
}

export class VoidWatch {
  readonly #options: VoidWatchOptions;
  #told = false;
  #done = false;

  constructor(options: VoidWatchOptions) {
    this.#options = options;
  }

  /** Call it after every step. */
  look(): void {
    const { core, onAnew, logger } = this.#options;
    const { voided } = core;
    if (voided === null || this.#done) return;
    if (!this.#told) {
      this.#told = true;
      logger.error(
        { known: voided },
        'the data is older than what the peers remember of this replica: it takes no part any more',
      );
    }
    if (!core.othersVote()) return;
    this.#done = true;
    logger.error({}, 'the older data is set aside and recovered from both others');
    onAnew(voided);
  }
}
