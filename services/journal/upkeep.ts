/**
 * What a replica does for the good of its own disk beside its work: watching the room on it, taking
 * checkpoints and letting old log go, taking a peer's checkpoint when too much is missing, reading what
 * is old and repairing it. Puts these parts
 * together and looks after each once a step; what they do, and when, stands in them.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { LaneCore } from '../../libs/lane/core.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { Micros, ReplicaId } from '../../libs/values/numbers.ts';
import { Checkpointer } from './checkpointer.ts';
import type { JournalConfig } from './config.ts';
import type { Frame, PendingAppend } from './content.ts';
import type { Driver } from './driver.ts';
import { LogRepair } from './log-repair.ts';
import type { OpenedLog } from './open-log.ts';
import type { PeerQuestions } from './peer-questions.ts';
import type { Peers } from './peers.ts';
import { ReleaseComparison } from './release-comparison.ts';
import type { Releaser } from './releaser.ts';
import { Retention } from './retention.ts';
import { Scrubber } from './scrubber.ts';
import type { ScrubFigures } from './scrubber.ts';
import { SpaceWatch, freeBytesOf } from './space-watch.ts';
import { Transfer } from './transfer.ts';
import { VoidWatch } from './void-watch.ts';
import type { Watermark } from './watermark.ts';

/**
 * How the replica must be stopped and started again. `adopted`: with a checkpoint of a peer that is on disk
 * now. `anew`: without its data, which is to be set aside, in an incarnation above `above`.
 */
export type Restart =
  { readonly kind: 'adopted' } | { readonly kind: 'anew'; readonly above: number };

export interface UpkeepOptions {
  readonly config: Pick<
    JournalConfig,
    'archive' | 'dataDirectory' | 'limits' | 'timings' | 'peers' | 'witness'
  >;
  readonly opened: OpenedLog;
  /** Entries from this ordinal on are nowhere else; Infinity: there is no archive, what leaves is gone. */
  readonly archivedTo: () => number;
  readonly core: LaneCore<Frame, PendingAppend>;
  readonly releaser: Releaser;
  readonly watermark: Watermark;
  readonly driver: () => Driver;
  readonly peers: () => Peers;
  readonly questions: PeerQuestions;
  readonly self: ReplicaId;
  readonly logger: Logger;
  readonly onRestart: (how: Restart) => void;
  /** The replica's state is not to be trusted any more; must end the process. */
  readonly fatal: (error: unknown, what: string) => void;
}

export class Upkeep {
  readonly space: SpaceWatch;
  readonly checkpointer: Checkpointer;
  readonly #transfer: Transfer;
  readonly #scrubber: Scrubber;
  readonly #voidWatch: VoidWatch;
  readonly comparison: ReleaseComparison;

  constructor(options: UpkeepOptions) {
    const { config, opened, core, releaser, watermark, driver, peers, logger } = options;
    const { archivedTo } = options;
    const anew = (above: number): void => {
      const own = opened.state.incarnationOf(options.self);
      options.onRestart({ kind: 'anew', above: Math.max(above, own) });
    };
    this.#voidWatch = new VoidWatch({ core, onAnew: anew, logger });
    const { log, state, head, order, index, store } = opened;
    const { limits, timings } = config;
    const { segmentBytes, checkpointBytes: everyBytes } = limits;
    // With an archive the log is a stock of what is archived.
    const { url, localBytes } = config.archive;
    const retentionBytes = url === undefined ? limits.retentionBytes : localBytes;
    this.space = new SpaceWatch({
      reserveBytes: limits.diskReserveBytes,
      log,
      freeBytes: () => freeBytesOf(config.dataDirectory),
      onChange: (space) => {
        driver().space(space);
      },
      logger,
    });
    const retention = new Retention({
      order,
      index,
      store,
      log,
      segmentBytes,
      retentionBytes,
      retentionMicros: timings.retentionMs * 1000,
      followed: config.witness ? () => core.inspect().peers.map(({ bases }) => bases) : null,
      now: () => watermark.value,
      defer: (next) => setImmediate(next),
    });
    this.checkpointer = new Checkpointer({
      core,
      log,
      state,
      head,
      order,
      index,
      store,
      releaser,
      everyBytes,
      segmentBytes,
      space: this.space,
      frontier: (done) => {
        retention.frontier((ordinal) => {
          done(Math.min(ordinal, archivedTo()));
        });
      },
      onTrimmed: (bases) => {
        driver().trimmed(bases);
      },
      onResumed: () => {
        driver().wake();
      },
      logger,
    });
    this.#transfer = new Transfer({
      core,
      log,
      state,
      store,
      checkpointer: this.checkpointer,
      peers,
      logger,
      onAdopted: () => {
        options.onRestart({ kind: 'adopted' });
      },
    });
    const { questions, self } = options;
    this.#scrubber = new Scrubber({
      log,
      repair: new LogRepair({ self, log, store, state, core, questions }),
      checkpointer: this.checkpointer,
      bytesPerSecond: limits.scrubBytesPerSecond,
      pauseMs: timings.scrubPauseMs,
      othersAreWell: () => core.inspect().voting && core.othersVote(),
      onHopeless: () => {
        anew(0);
      },
      logger,
    });
    this.comparison = new ReleaseComparison({
      peers: config.peers.map(({ replica }) => replica),
      marks: questions.marks,
      questions,
      // A wrong state must not spread: if the others cannot fill a new directory now, the process ends.
      onWrong: () => {
        if (core.othersVote()) anew(0);
        else options.fatal(null, 'this replica has released something wrong');
      },
      everyMs: timings.compareMs,
      logger,
    });
    store.onUnreadable = (segment, error) => {
      this.#scrubber.urgent(segment);
      return new MeridianError(
        'UNAVAILABLE',
        'stored bytes are not what was written; they are being repaired, ask another region',
        { details: error.details, cause: error },
      );
    };
  }

  /** Of the background reading. */
  get scrub(): ScrubFigures {
    return this.#scrubber.figures;
  }

  start(): void {
    this.#scrubber.start();
    this.comparison.start();
  }

  /** Call it after every step. */
  look(now: Micros): void {
    this.space.look(now);
    this.checkpointer.look(now);
    this.#transfer.look(now);
    this.#voidWatch.look();
  }

  /** Takes a last checkpoint, if it can be. */
  stop(): Promise<void> {
    this.#scrubber.stop();
    this.comparison.stop();
    return this.checkpointer.stop();
  }
}
