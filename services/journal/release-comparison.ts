/**
 * Replicas compare what they released by themselves (P2): now and then this one asks each peer for its
 * running hashes and holds them against its own at the numbers of entries that both remember. A
 * difference means that the order is not one order any more, by a bug or by silent damage. It is said
 * loudly, with the entries between which it lies, and stays said until the process ends: who is right
 * cannot be told from two hashes, so nothing is repaired here.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { PeerQuestions } from './peer-questions.ts';
import type { ReleaseMark, ReleaseMarks } from './release-marks.ts';

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
  readonly everyMs: number;
  readonly logger: Pick<Logger, 'error'>;
}

export class ReleaseComparison {
  readonly #options: ReleaseComparisonOptions;
  readonly #found = new Map<ReplicaId, Divergence>();
  #timer: NodeJS.Timeout | null = null;
  #comparisons = 0;

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
    for (const replica of peers) {
      try {
        const theirs = await questions.releaseMarks(replica);
        this.#judge(replica, compareMarks(marks.list(), theirs));
      } catch (error) {
        if (!(error instanceof MeridianError)) throw error;
      }
    }
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

interface Comparison {
  readonly common: boolean;
  readonly equalEntries: number;
  readonly different: ReleaseMark | null;
}

/** The hash runs on: once different, it is different at every later number. */
export function compareMarks(
  own: readonly ReleaseMark[],
  theirs: readonly ReleaseMark[],
): Comparison {
  const hashes = new Map(theirs.map(({ entries, hash }) => [entries, hash]));
  const common = own.filter(({ entries }) => hashes.has(entries));
  const isEqual = ({ entries, hash }: ReleaseMark): boolean => hashes.get(entries) === hash;
  return {
    common: common.length > 0,
    equalEntries: common.findLast(isEqual)?.entries ?? 0,
    different: common.find((mark) => !isEqual(mark)) ?? null,
  };
}
