/**
 * Replicas compare what they released by themselves (P2): now and then this one asks each peer for its
 * running hashes and holds them against its own at the numbers of entries that both remember. A
 * difference means that the order is not one order any more, by a bug or by silent damage. It is said
 * loudly, with the entries between which it lies, and stays said until the process ends. Who is right
 * cannot be told from two hashes; where both others agree against this replica, it is the one, and it
 * must not go on (`onWrong`). What becomes of it then is decided elsewhere.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { PeerQuestions } from './peer-questions.ts';
import type { ReleaseMark, ReleaseMarks } from '../../libs/order/release-marks.ts';
import { compareMarks, foundWrong } from '../../libs/order/verdict.ts';
import type { Comparison } from '../../libs/order/verdict.ts';

export interface Divergence {
  readonly replica: ReplicaId;
  /** Highest number of entries up to which both are known to agree; 0: none is known. */
  readonly equalEntries: number;
  /** Lowest number above it at which they are known to differ, and the timestamp there, as it is here. */
  readonly differentEntries: number;
  readonly timestamp: number;
}

export interface ReleaseComparisonOptions {
  readonly peers: readonly ReplicaId[];
  readonly marks: Pick<ReleaseMarks, 'list'>;
  readonly questions: Pick<PeerQuestions, 'releaseMarks'>;
  /** Both others have released the same, and this replica something else; called once. */
  readonly onWrong: () => void;
  readonly everyMs: number;
  readonly logger: Pick<Logger, 'error'>;
}

export class ReleaseComparison {
  readonly #options: ReleaseComparisonOptions;
  readonly #found = new Map<ReplicaId, Divergence>();
  #timer: NodeJS.Timeout | null = null;
  #comparisons = 0;
  #wrong = false;

  constructor(options: ReleaseComparisonOptions) {
    this.#options = options;
  }

  get divergences(): readonly Divergence[] {
    return [...this.#found.values()];
  }

  /** Comparisons that had a number of entries in common. */
  get comparisons(): number {
    return this.#comparisons;
  }

  start(): void {
    this.#timer = setInterval(() => {
      void this.compare();
    }, this.#options.everyMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** One round; a peer that does not answer is asked in the next. */
  async compare(): Promise<void> {
    const { peers, questions, marks } = this.#options;
    const answers: (readonly ReleaseMark[])[] = [];
    for (const replica of peers) {
      try {
        const theirs = await questions.releaseMarks(replica);
        answers.push(theirs);
        this.#judge(replica, compareMarks(marks.list(), theirs));
      } catch (error) {
        if (!(error instanceof MeridianError)) throw error;
      }
    }
    const [one, other] = answers;
    if (one !== undefined && other !== undefined) this.#judgeSelf(one, other);
  }

  #judgeSelf(one: readonly ReleaseMark[], other: readonly ReleaseMark[]): void {
    const { marks, logger, onWrong } = this.#options;
    const wrong = foundWrong(marks.list(), one, other);
    if (wrong === null || this.#wrong) return;
    this.#wrong = true;
    const { entries, timestamp } = wrong;
    logger.error(
      { entries, timestamp },
      'both others have released the same and this replica something else: it is wrong and stops',
    );
    onWrong();
  }

  #judge(replica: ReplicaId, { common, equalEntries, different }: Comparison): void {
    if (common) this.#comparisons += 1;
    if (different === null || this.#found.has(replica)) return;
    const { entries: differentEntries, timestamp } = different;
    const divergence = { replica, equalEntries, differentEntries, timestamp };
    this.#found.set(replica, divergence);
    const { replica: peer, ...range } = divergence;
    this.#options.logger.error(
      { peer, ...range },
      'this replica and the peer have released something different',
    );
  }
}
