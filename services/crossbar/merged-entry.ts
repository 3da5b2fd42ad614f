/**
 * An entry on its way through the crossbar: its delivery frames, stamped with the instance's number
 * and packed into memory of its own, so that a small entry in the window does not keep alive the
 * large message it came in. Where an instance has said that records are missing, the gap travels in
 * the place of what is missing.
 */
import type { MemberRecord } from '../../libs/frames/member-record.ts';
import type { Position } from './position.ts';

/** Records of one instance that were asked for and do not come. */
export interface MergedGap {
  readonly kind: 'trimmed' | 'lost';
  /** Name of the instance. */
  readonly name: string;
  /** First timestamp of which something is missing. */
  readonly from: number;
  /** Last one. */
  readonly to: number;
}

export interface MergedEntry extends Position {
  /** Delivery frames, one after the other; empty where there is only a gap. */
  readonly frames: Uint8Array;
  /** Comes before the frames. */
  readonly gap: MergedGap | null;
  /** Of the registry: the change of the members that it holds; void perhaps. */
  readonly change: MemberRecord | null;
}
