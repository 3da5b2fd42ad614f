/**
 * The protocol state that stands in the log between the entries: promises, reservation, incarnations,
 * the right to vote. The same fold at a start (over what was written) and while running (over what is
 * being written), so that a checkpoint can say what the log said up to here.
 */
import { at } from '../../libs/values/assert.ts';
import type { Epoch, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import type { StateWrite } from './log-frames.ts';

export interface ProtocolState {
  /** Highest promised epoch per lane. */
  readonly promised: readonly number[];
  readonly reservation: number;
  /** Highest incarnation of each replica. */
  readonly incarnations: readonly number[];
  readonly voting: boolean;
}

export class LogState implements ProtocolState {
  promised: Epoch[] = [0, 0, 0] as Epoch[];
  reservation = 0 as Timestamp;
  incarnations = [0, 0, 0];
  voting = false;

  /** What a checkpoint said; the writes that follow are taken on top, again if need be. */
  load(state: ProtocolState): void {
    this.promised = state.promised as Epoch[];
    this.reservation = state.reservation as Timestamp;
    this.incarnations = [...state.incarnations];
    this.voting = state.voting;
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
        this.incarnations[write.replica] = Math.max(
          this.incarnationOf(write.replica),
          write.incarnation,
        );
        break;
      case 'recovered':
        this.voting = true;
        break;
    }
  }

  incarnationOf(replica: ReplicaId): number {
    return at(this.incarnations, replica);
  }

  copy(): ProtocolState {
    const { promised, reservation, incarnations, voting } = this;
    return { promised: [...promised], reservation, incarnations: [...incarnations], voting };
  }
}
