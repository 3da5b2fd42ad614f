/**
 * Is a peer still who it was? (SPEC.md §7, M1–M7.) A data directory that was put back from an older
 * copy is whole and wrong: what its replica promised and acknowledged since is forgotten, and nothing in
 * it says so. The others know. Here is what they remember of a peer's incarnations, lives and clock,
 * the judgement of a peer that comes back with less, and what the own directory tells of its past
 * lives (lineage.ts) to be judged by. Owns none of the peer's statements: the newest is handed in.
 */
import { at } from '../values/assert.ts';
import type { PerReplica, ReplicaId } from '../values/numbers.ts';
import { perReplica } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { others } from './context.ts';
import { born, descentFrom, named } from './lineage.ts';
import type { Append, Descent, Lineage, Recovered, Status } from './types.ts';

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
  /** Number of a life that has not answered yet whether it knows the one gone by (M6). */
  open: number;
  refusedAt: number;
  /** Own lives since the newest one that it has named. */
  lineage: Lineage;
  /** The life of the own replica that it goes by, as far as it has said, and what came after that. */
  told: Descent;
  /** The statement in which it said so: of one life the newest counts, and of another one any. */
  toldIn: { readonly life: number; readonly version: number };
}

const NOWHERE = { life: 0, version: 0 };

type Judgement = 'fits' | 'earlier' | 'open' | 'another';

export class Lives<Content, A extends Append> {
  /** Number of the last write of an incarnation. */
  incarnationsWritten = 0;
  /** M6: what each replica is told of the past of the own directory. */
  descent: readonly Descent[];
  private readonly context: Context<Content, A>;
  private readonly known: PerReplica<Known>;

  constructor(
    context: Context<Content, A>,
    recovered: Pick<
      Recovered<Content>,
      'incarnation' | 'incarnations' | 'life' | 'heard' | 'lineages' | 'reservation'
    >,
  ) {
    this.context = context;
    const { life: own, reservation } = recovered;
    this.known = perReplica((replica) => {
      const { life, clock } = at(recovered.heard, replica);
      const incarnation = at(recovered.incarnations, replica);
      const birth = { life: own.number, reservation };
      const lineage = born(at(recovered.lineages, replica), birth, own.previous);
      const told = descentFrom(lineage, lineage[0]?.life ?? 0);
      const before = { isVoid: false, open: 0, refusedAt: -Infinity, toldIn: NOWHERE };
      return { incarnation, life, clock, clockWritten: clock, lineage, told, ...before };
    });
    const { incarnation } = recovered;
    const present = { incarnation, life: own.number, clock: reservation };
    Object.assign(this.known[context.self], present);
    this.descent = this.known.map(({ told }) => told);
  }

  /** M1: this start of the own replica. Returns the write to wait for; 0: lives are not told. */
  begin(): number {
    const { self } = this.context;
    return this.known[self].life === 0 ? 0 : this.write(self);
  }

  incarnationOf(replica: ReplicaId): number {
    return this.known[replica].incarnation;
  }

  /** The newest life of each replica that this one knows of: whoever finds its own is confirmed (M5). */
  numbers(): number[] {
    return this.known.map(({ life }) => life);
  }

  /** Its letters come through the third as well; they carry no life. */
  isVoid(replica: ReplicaId): boolean {
    return this.known[replica].isVoid;
  }

  /** Of the incarnation and the life that this replica goes by. */
  believes({ replica, incarnation, life }: Status): boolean {
    const known = this.known[replica];
    if (incarnation !== known.incarnation) return false;
    return life.number === known.life || life.number === 0;
  }

  /** Takes a new incarnation or life, if it may be believed. `last`: the newest statement before. */
  note(status: Status, last: Status | null): void {
    const { replica, incarnation, life } = status;
    const known = this.known[replica];
    // Also of one that is void: before it begins anew, it has to know that the others are well.
    this.noteNamed(status, known);
    if (incarnation < known.incarnation) return;
    this.noteIncarnation(replica, incarnation);
    if (life.number === known.life || life.number === 0) return;
    const judgement = this.judge(status, known, last);
    if (judgement === 'open') known.open = life.number;
    // An earlier life is the past, which may come late. A later one that does not know it is another past.
    if (judgement === 'another') Object.assign(known, { isVoid: true, open: 0 });
    if (judgement !== 'fits') return;
    Object.assign(known, { life: life.number, isVoid: false, open: 0 });
    this.write(replica);
    // It waits for the answer (M5).
    this.context.wake(replica);
  }

  /** What an earlier incarnation said is void (§7). */
  noteIncarnation(replica: ReplicaId, incarnation: number): boolean {
    const known = this.known[replica];
    if (incarnation <= known.incarnation) return false;
    const nothing = { life: 0, clock: 0, clockWritten: 0, isVoid: false, open: 0 };
    Object.assign(known, { incarnation, ...nothing, toldIn: NOWHERE });
    this.incarnationsWritten = this.context.write({ type: 'incarnation', replica, incarnation });
    return true;
  }

  /** M3: a clock that a believed peer told itself. */
  heard(replica: ReplicaId, clock: number): void {
    const known = this.known[replica];
    known.clock = Math.max(known.clock, clock);
  }

  /** With every reservation of this replica: costs no sync of its own. */
  writeClocks(): void {
    for (const replica of others(this.context.self)) {
      const { life, clock, clockWritten } = this.known[replica];
      if (life !== 0 && clock > clockWritten) this.write(replica);
    }
  }

  /** M4, M6: tells it, now and then, as long as it speaks and is not believed. */
  refuse({ replica, incarnation, life }: Status): void {
    const { context } = this;
    const known = this.known[replica];
    if (context.now < known.refusedAt + context.settings.resend) return;
    known.refusedAt = context.now;
    const { number } = life;
    const { incarnation: newest } = known;
    // Any statement names the life that is gone by here.
    if (number === known.open) context.wake(replica);
    else context.letter(replica, { type: 'void', incarnation, life: number, known: newest });
  }

  /** By which of the own lives does the peer go? */
  private noteNamed({ replica, version, life: theirs, lives }: Status, known: Known): void {
    const { context } = this;
    const own = this.known[context.self].life;
    const life = at(lives, context.self);
    if (life === known.told.life || own === 0) return;
    const { toldIn } = known;
    // One that was put back speaks in lower versions than it has before.
    if (theirs.number === toldIn.life && version <= toldIn.version) return;
    known.toldIn = { life: theirs.number, version };
    known.told = descentFrom(known.lineage, life);
    this.descent = this.known.map(({ told }) => told);
    if (life !== own) context.wake(replica);
    const lineage = named(known.lineage, life);
    if (lineage === known.lineage) return;
    known.lineage = lineage;
    context.write({ type: 'named', replica, life });
  }

  private judge(status: Status, known: Known, last: Status | null): Judgement {
    const { broken, self } = this.context;
    if (known.life === 0 || broken.has('rollback-believed')) return 'fits';
    const { number, previous, reservation } = status.life;
    if (number < known.life) return 'earlier';
    if (previous < known.life || reservation < known.clock) return 'another';
    if (last?.incarnation === status.incarnation && forgets(status, last)) return 'another';
    const descent = status.descent?.[self];
    if (descent === undefined || broken.has('M6-last-life')) return 'fits';
    // It answers for a life that this replica does not go by any more, or not yet: it hears by which.
    if (descent.life !== known.life) return 'open';
    const knows = descent.reservation !== null && descent.reservation >= known.clock;
    return knows ? 'fits' : 'another';
  }

  private write(replica: ReplicaId): number {
    const known = this.known[replica];
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
