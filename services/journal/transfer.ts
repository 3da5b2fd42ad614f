/**
 * A replica whose log ends before the logs of its peers begin (libs/lane/SPEC.md, C3): it fetches the
 * checkpoint behind which a peer's log begins, makes it its own on disk, and must then start again
 * with it. What it promised stays; of its log stays what follows the checkpoint, if it agrees with it.
 */
import type { LaneCore } from '../../libs/lane/core.ts';
import type { Mark } from '../../libs/lane/types.ts';
import type { Log } from '../../libs/storage/log.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { Micros, ReplicaId } from '../../libs/values/numbers.ts';
import { isReplicaId } from '../../libs/values/numbers.ts';
import { adoptSections, readHead } from './checkpoint-sections.ts';
import type { Checkpointer } from './checkpointer.ts';
import type { Frame, PendingAppend } from './content.ts';
import type { LaneStore } from './lane-store.ts';
import type { LogState } from './log-state.ts';
import type { Peers } from './peers.ts';

export interface TransferOptions {
  readonly core: Pick<LaneCore<Frame, PendingAppend>, 'behind' | 'holds'>;
  readonly log: Log;
  readonly state: LogState;
  readonly store: LaneStore;
  readonly checkpointer: Checkpointer;
  readonly peers: () => Pick<Peers, 'fetchCheckpoint'>;
  readonly logger: Logger;
  /** The checkpoint is on disk: the replica must start again with it. */
  readonly onAdopted: () => void;
}

const LOOK_MICROS = 200_000;
/** So long a peer must have been ahead: what is under way may still close the gap. */
const PATIENCE_MICROS = 1_000_000;

export class Transfer {
  readonly #options: TransferOptions;
  #lookedAt = -Infinity;
  #behindSince: number | null = null;
  #busy = false;

  constructor(options: TransferOptions) {
    this.#options = options;
  }

  /** Call it after every step. */
  look(now: Micros): void {
    if (this.#busy || now - this.#lookedAt < LOOK_MICROS) return;
    this.#lookedAt = now;
    const peer = this.#options.core.behind();
    if (peer === null) {
      this.#behindSince = null;
      return;
    }
    this.#behindSince ??= now;
    if (now - this.#behindSince >= PATIENCE_MICROS) this.#fetch(peer);
  }

  #fetch(peer: ReplicaId): void {
    const { logger, peers, checkpointer, log } = this.#options;
    if (!checkpointer.isIdle || log.isFull) return;
    this.#busy = true;
    const sections: Uint8Array[] = [];
    logger.warn(
      { peer },
      'the log of the peer begins behind the end of ours: taking its checkpoint',
    );
    peers().fetchCheckpoint(
      peer,
      (section) => {
        sections.push(section);
      },
      (error) => {
        if (error === null && sections.length > 0) this.#adopt(peer, sections);
        else {
          logger.warn(
            { peer, reason: error?.message },
            'no checkpoint came; it will be asked for again',
          );
          this.#again();
        }
      },
    );
  }

  #adopt(peer: ReplicaId, sections: readonly Uint8Array[]): void {
    const { log, state, store, core, checkpointer, logger, onAdopted } = this.#options;
    const { position } = log;
    checkpointer.abandon();
    const adopted = adoptSections(sections, {
      holds: (lane: number, mark: Mark) => isReplicaId(lane) && core.holds(lane, mark),
      position,
      segmentBehind: (lane, mark) =>
        (isReplicaId(lane) ? store.segmentOf(lane, mark.index + 1) : null) ?? position.segment,
      state: state.copy(),
    });
    log.sync(() => {
      log.saveCheckpoint(adopted, (error, number) => {
        if (error !== null) {
          logger.error({ error }, 'the checkpoint of the peer cannot be stored');
          this.#again();
          return;
        }
        const { count, watermark } = readHead(sections[0]);
        logger.warn(
          { peer, number, entries: count, watermark },
          'checkpoint of the peer stored: starting again with it',
        );
        onAdopted();
      });
    });
  }

  #again(): void {
    this.#busy = false;
    this.#behindSince = null;
  }
}
