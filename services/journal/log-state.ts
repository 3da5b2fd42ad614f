/**
 * The protocol state that stands in the log between the entries: promises, reservation, incarnations and
 * lives, the right to vote. The same fold at a start (over what was written) and while running (over what is
 * being written), so that a checkpoint can say what the log said up to here.
 */
import { born, named } from '../../libs/lane/lineage.ts';
import type { Lineage } from '../../libs/lane/types.ts';
import { at } from '../../libs/values/assert.ts';
import type { Epoch, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import type { StateWrite } from './log-frames.ts';

type LifeWrite = Extract<StateWrite, { type: 'life' }>;

export interface ProtocolState {
  /** Highest promised epoch per lane. */
  readonly promised: readonly number[];
  readonly reservation: number;
  /** Highest incarnation of each replica. */
  readonly incarnations: readonly number[];
  readonly voting: boolean;
  /** The newest life of each replica that was heard, of its highest incarnation; absent in old checkpoints. */
  readonly heard?: readonly HeardLife[];
  /** Own lives since the newest one that each replica has named; absent in old checkpoints. */
  readonly lineages?: readonly Lineage[];
}

export interface HeardLife {
  readonly life: number;
  /** The highest clock that it told. */
  readonly clock: number;
}

const NOTHING: HeardLife = { life: 0, clock: 0 };

export class LogState implements ProtocolState {
  promised: Epoch[] = [0, 0, 0] as Epoch[];
  reservation = 0 as Timestamp;
  incarnations = [0, 0, 0];
  voting = false;
  heard: HeardLife[] = [NOTHING, NOTHING, NOTHING];
  lineages: Lineage[] = [[], [], []];
  readonly #self: ReplicaId;

  /** `self`: whose log it is. */
  constructor(self: ReplicaId) {
    this.#self = self;
  }

  /** What a checkpoint said; the writes that follow are taken on top, again if need be. */
  load(state: ProtocolState): void {
    this.promised = state.promised as Epoch[];
    this.reservation = state.reservation as Timestamp;
    this.incarnations = [...state.incarnations];
    this.voting = state.voting;
    this.heard = [...(state.heard ?? this.heard)];
    this.lineages = [...(state.lineages ?? this.lineages)];
  }

  take(write: StateWrite): void {
    switch (write.type) {
      case 'truncate':
        break;
      case 'promise':
        this.promised[write.lane] = Math.max(at(this.promised, write.lane), write.epoch) as Epoch;
        break;
      case 'reserve':
        this.reservation = Math.max(this.reservation, write.timestamp) as Timestamp;
        break;
      case 'incarnation':
        if (write.incarnation <= this.incarnationOf(write.replica)) break;
        this.incarnations[write.replica] = write.incarnation;
        this.heard[write.replica] = NOTHING;
        if (write.replica === this.#self) this.lineages = [[], [], []];
        break;
      case 'life':
        this.#takeLife(write);
        break;
      case 'named':
        this.lineages[write.replica] = named(at(this.lineages, write.replica), write.life);
        break;
      case 'recovered':
        this.voting = true;
        break;
    }
  }

  incarnationOf(replica: ReplicaId): number {
    return at(this.incarnations, replica);
  }

  copy(): Required<ProtocolState> {
    const { promised, reservation, incarnations, voting, heard, lineages } = this;
    return {
      promised: [...promised],
      reservation,
      incarnations: [...incarnations],
      voting,
      heard: [...heard],
      lineages: [...lineages],
    };
  }

  /** Frames from before a checkpoint may be taken again: they lower nothing. */
  #takeLife({ replica, incarnation, life, clock }: LifeWrite): void {
    if (incarnation !== this.incarnationOf(replica)) return;
    const before = at(this.heard, replica);
    if (replica === this.#self) {
      // Earlier builds wrote no clock here: what was reserved until then is what the life began with.
      const reservation = (clock > 0 ? clock : this.reservation) as Timestamp;
      const birth = { life, reservation };
      this.lineages = this.lineages.map((lineage, peer) =>
        peer === replica ? lineage : born(lineage, birth, before.life),
      );
    }
    this.heard[replica] = {
      life: Math.max(life, before.life),
      clock: Math.max(clock, before.clock),
    };
  }
}
