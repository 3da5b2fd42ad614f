/**
 * Where the bodies of damaged frames come from (S2): from memory, from the damaged segment itself when
 * only the frame around an entry is rotten, else from the peers. An entry is the same wherever it is
 * held in this (lane, epoch, index), so a copy is as good as the lost one; it is taken only if it is whole
 * and this replica's log holds that epoch there.
 *
 * What is no entry of the log any more (promises, reservations, entries cut off or below the base) is in
 * nobody's index. Such frames become void: what the protocol state says now is written to the log once
 * more before, and a replay takes the highest of everything, so nothing is forgotten by it.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeEntryHeader, verifyEntry } from '../../libs/frames/entry.ts';
import type { LaneCore } from '../../libs/lane/core.ts';
import type { Log, RepairSource } from '../../libs/storage/log.ts';
import { at } from '../../libs/values/assert.ts';
import type { Epoch, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Frame, PendingAppend } from './content.ts';
import type { LaneStore, StoredEntry } from './lane-store.ts';
import { FRAME_TYPES } from './log-frames.ts';
import type { StateWrite } from './log-frames.ts';
import type { LogState } from './log-state.ts';
import type { PeerQuestions } from './peer-questions.ts';
import { writeState } from './recovery.ts';

export interface LogRepairOptions {
  readonly self: ReplicaId;
  readonly log: Log;
  readonly store: LaneStore;
  readonly state: LogState;
  readonly core: Pick<LaneCore<Frame, PendingAppend>, 'holds'>;
  readonly questions: Pick<PeerQuestions, 'entries'>;
}

type KnownBody = Awaited<ReturnType<RepairSource['bodies']>>[number];
type Damage = Parameters<RepairSource['bodies']>[0];

export class LogRepair {
  readonly #options: LogRepairOptions;

  constructor(options: LogRepairOptions) {
    this.#options = options;
  }

  /**
   * Resolves with what was done, for the log. Rejects with UNAVAILABLE while no peer that can be asked has
   * the entries, and with CORRUPT when so much is damaged that nobody can say what was there.
   */
  async repair(segment: number): Promise<{ stretches: number; fetched: number; voids: number }> {
    let fetched = 0;
    const { damages, voids } = await this.#options.log.care.repairSegment(segment, {
      bodies: async (damage, bytes) => {
        const found = await this.#bodies(segment, damage, bytes);
        fetched += found.fetched;
        return found.bodies;
      },
      beforeVoid: () => this.#writeStateAgain(),
    });
    return { stretches: damages.length, fetched, voids };
  }

  async #bodies(
    segment: number,
    { from, to }: Damage,
    bytes: Buffer,
  ): Promise<{ bodies: KnownBody[]; fetched: number }> {
    const { store } = this.#options;
    const inside = store.inSegment(segment).filter(({ location: { offset, bytes: length } }) => {
      return offset >= from && offset + length <= to;
    });
    const bodies = new Map<StoredEntry, Uint8Array>();
    const take = (entry: StoredEntry, frame: Frame | null): void => {
      if (frame !== null && this.#isSound(entry, frame)) bodies.set(entry, frame);
    };
    for (const entry of inside) {
      const { offset, bytes: length } = entry.location;
      take(entry, store.cachedContent(entry.lane, entry.index));
      if (!bodies.has(entry)) take(entry, bytes.subarray(offset, offset + length));
    }
    const lost = inside.filter((entry) => !bodies.has(entry));
    await this.#fetch(lost, (entry, frame) => {
      take(entry, frame);
      return bodies.has(entry);
    });
    return {
      fetched: lost.length,
      bodies: [...bodies].map(([{ location }, body]) => {
        return { offset: location.offset, type: FRAME_TYPES.entry, body };
      }),
    };
  }

  /** Asks one peer for all of them, and the other for what that one does not have. */
  async #fetch(
    lost: readonly StoredEntry[],
    take: (entry: StoredEntry, frame: Frame) => boolean,
  ): Promise<void> {
    const { self, questions } = this.#options;
    const missing = new Set(lost);
    let unasked: unknown = null;
    for (const peer of REPLICAS) {
      if (peer === self) continue;
      for (const lane of REPLICAS) {
        const wanted = [...missing].filter((entry) => entry.lane === lane);
        if (wanted.length === 0) continue;
        try {
          const indexes = wanted.map(({ index }) => index);
          for (const frame of await questions.entries(peer, lane, indexes)) {
            const entry = wanted.find((one) => one.index === indexOf(frame));
            if (entry !== undefined && take(entry, frame)) missing.delete(entry);
          }
        } catch (error) {
          unasked = error;
        }
      }
    }
    const [first] = missing;
    if (first === undefined) return;
    const what = `${missing.size} entries, the first of them ${first.lane}/${first.index}`;
    if (unasked !== null) {
      throw new MeridianError('UNAVAILABLE', `a peer cannot be asked for ${what}`, {
        cause: unasked,
      });
    }
    // Not CORRUPT: who begins anew from the others does not get them either.
    throw new MeridianError('UNAVAILABLE', `no other replica can read ${what}`);
  }

  #isSound({ lane, index, location }: StoredEntry, frame: Frame): boolean {
    if (frame.length !== location.bytes) return false;
    try {
      const header = verifyEntry(frame);
      const { epoch, timestamp } = header;
      const isIt = header.lane === lane && header.index === index;
      return isIt && this.#options.core.holds(lane, { epoch, index, timestamp });
    } catch (error) {
      if (error instanceof MeridianError) return false;
      throw error;
    }
  }

  /** Everything the log says of the protocol so far, as far as it still matters. */
  #writeStateAgain(): Promise<void> {
    const { log, state } = this.#options;
    const { promised, reservation, incarnations, voting, heard, lineages } = state.copy();
    const { self } = this.#options;
    const incarnation = at(incarnations, self);
    const writes: StateWrite[] = REPLICAS.flatMap((id) => [
      { type: 'promise', lane: id, epoch: at(promised, id) as Epoch },
      { type: 'incarnation', replica: id, incarnation: at(incarnations, id) },
      { type: 'life', replica: id, incarnation: at(incarnations, id), ...at(heard, id) },
    ]);
    for (const { life, reservation: clock } of lineages.flat()) {
      if (life > 0) writes.push({ type: 'life', replica: self, incarnation, life, clock });
    }
    writes.push({ type: 'reserve', timestamp: reservation as Timestamp });
    if (voting) writes.push({ type: 'recovered' });
    for (const write of writes) writeState(log, write);
    return new Promise((resolve) => {
      log.sync(resolve);
    });
  }
}

function indexOf(frame: Frame): number {
  try {
    return decodeEntryHeader(frame).index;
  } catch {
    return -1;
  }
}
