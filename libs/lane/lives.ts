/**
 * Is a peer still who it was? (SPEC.md §7, M1–M6.) A data directory that was put back from an older
 * copy is whole and wrong: what its replica promised and acknowledged since is forgotten, and nothing in
 * it says so. The others know. Here is what they remember of a peer's incarnations, lives and clock,
 * and the judgement of a peer that comes back with less. Owns none of the peer's statements: the newest
 * is handed in.
 */
import { at } from '../values/assert.ts';
import type { ReplicaId } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { others } from './context.ts';
import type { Append, Recovered, Status } from './types.ts';

interface Known {
  incarnation: number;
  /** Number of its newest life; 0: none was told yet. */
  life: number;
  /** Highest clock that it told itself: at that moment its disk had reserved as much (T1). */
  clock: number;
  /** As much of the clock is on this replica's disk. */
  clockWritten: number;
  /** It is rolled back: nothing of it is believed before a new incarnation, or a life that fits. */
  isVoid: boolean;
  refusedAt: number;
}

export class Lives<Content, A extends Append> {
  /** Number of the last write of an incarnation. */
  incarnationsWritten = 0;
  private readonly context: Context<Content, A>;
  private readonly known: readonly Known[];

  constructor(
    context: Context<Content, A>,
    recovered: Pick<Recovered<Content>, 'incarnation' | 'incarnations' | 'life' | 'heard'>,
  ) {
    this.context = context;
    this.known = REPLICAS.map((replica) => {
      const { life, clock } = at(recovered.heard, replica);
      const incarnation = at(recovered.incarnations, replica);
      const before = { isVoid: false, refusedAt: -Infinity };
      return { incarnation, life, clock, clockWritten: clock, ...before };
    });
    const { incarnation, life } = recovered;
    Object.assign(at(this.known, context.self), { incarnation, life: life.number });
  }

  /** M1: this start of the own replica. Returns the write to wait for; 0: lives are not told. */
  begin(): number {
    const { self } = this.context;
    return at(this.known, self).life === 0 ? 0 : this.write(self);
  }

  incarnationOf(replica: ReplicaId): number {
    return at(this.known, replica).incarnation;
  }

  /** The newest life of each replica that this one knows of: whoever finds its own is confirmed (M5). */
  numbers(): number[] {
    return this.known.map(({ life }) => life);
  }

  /** Its letters come through the third as well; they carry no life. */
  isVoid(replica: ReplicaId): boolean {
    return at(this.known, replica).isVoid;
  }

  /** Of the incarnation and the life that this replica goes by. */
  believes({ replica, incarnation, life }: Status): boolean {
    const known = at(this.known, replica);
    if (incarnation !== known.incarnation) return false;
    return life.number === known.life || life.number === 0;
  }

  /** Takes a new incarnation or life, if it may be believed. `last`: the newest statement before. */
  note(status: Status, last: Status | null): void {
    const { replica, incarnation, life } = status;
    const known = at(this.known, replica);
    if (incarnation < known.incarnation) return;
    this.noteIncarnation(replica, incarnation);
    if (life.number === known.life || life.number === 0) return;
    if (known.life !== 0 && this.isRolledBack(status, known, last)) {
      // An earlier life is the past, which may come late. A later one that does not know it is another past.
      known.isVoid ||= life.number > known.life;
      return;
    }
    known.life = life.number;
    known.isVoid = false;
    this.write(replica);
    // It waits for the answer (M5).
    this.context.wake(replica);
  }

  /** What an earlier incarnation said is void (§7). */
  noteIncarnation(replica: ReplicaId, incarnation: number): boolean {
    const known = at(this.known, replica);
    if (incarnation <= known.incarnation) return false;
    Object.assign(known, { incarnation, life: 0, clock: 0, clockWritten: 0, isVoid: false });
    this.incarnationsWritten = this.context.write({ type: 'incarnation', replica, incarnation });
    return true;
  }

  /** M3: a clock that a believed peer told itself. */
  heard(replica: ReplicaId, clock: number): void {
    const known = at(this.known, replica);
    known.clock = Math.max(known.clock, clock);
  }

  /** With every reservation of this replica: costs no sync of its own. */
  writeClocks(): void {
    for (const replica of others(this.context.self)) {
      const { life, clock, clockWritten } = at(this.known, replica);
      if (life !== 0 && clock > clockWritten) this.write(replica);
    }
  }

  /** M4: tells it, now and then, as long as it speaks. */
  refuse({ replica, incarnation, life }: Status): void {
    const { context } = this;
    const known = at(this.known, replica);
    if (context.now < known.refusedAt + context.settings.resend) return;
    known.refusedAt = context.now;
    const { number } = life;
    const { incarnation: newest } = known;
    context.letter(replica, { type: 'void', incarnation, life: number, known: newest });
  }

  private isRolledBack(status: Status, known: Known, last: Status | null): boolean {
    if (this.context.broken.has('rollback-believed')) return false;
    const { number, previous, reservation } = status.life;
    if (number < known.life || previous < known.life) return true;
    if (reservation < known.clock) return true;
    return last !== null && last.incarnation === status.incarnation && forgets(status, last);
  }

  private write(replica: ReplicaId): number {
    const known = at(this.known, replica);
    const { incarnation, life, clock } = known;
    known.clockWritten = clock;
    return this.context.write({ type: 'life', replica, incarnation, life, clock });
  }
}

/** Promises rise, and what was accepted of the promised epoch's writer stays (§3). */
function forgets(status: Status, last: Status): boolean {
  return last.lanes.some((before, lane) => {
    const now = at(status.lanes, lane);
    if (now.promised !== before.promised) return now.promised < before.promised;
    if (before.tail.epoch !== before.promised || before.promised === 0) return false;
    return now.tail.epoch !== now.promised || now.tail.index < before.tail.index;
  });
}
