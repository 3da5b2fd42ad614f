/**
 * Whether this replica may take part: it has what it promised and took (recovery.ts), its life is on
 * disk (M1), a peer has recognised it (M5), and none has found it to have forgotten (M4).
 */
import { at } from '../values/assert.ts';
import type { RuleId } from './rules.ts';
import type { Lives } from './lives.ts';
import type { Recovery } from './recovery.ts';
import type { Append, Control, Life, Recovered, Status } from './types.ts';
import type { ReplicaId } from '../values/numbers.ts';

export class Standing<Content, A extends Append> {
  /**
   * M4: the highest incarnation that peers know of this replica, which they found to be older than they
   * remember. Its data must be set aside, and it must begin anew in a higher one. null: nobody has said so.
   */
  voided: number | null = null;
  private readonly self: ReplicaId;
  /** As every statement tells it. */
  private readonly life: Life;
  private readonly recovered: Recovered<Content>;
  private readonly lives: Lives<Content, A>;
  private readonly recovery: Recovery<Content, A>;
  /** Number of the write of this life; null before it, 0 without one. */
  private lifeSeq: number | null = null;
  private confirmed: boolean;

  constructor(
    self: ReplicaId,
    recovered: Recovered<Content>,
    lives: Lives<Content, A>,
    recovery: Recovery<Content, A>,
    broken: ReadonlySet<RuleId>,
  ) {
    this.self = self;
    const { number, previous } = recovered.life;
    this.life = { number, previous, reservation: recovered.reservation };
    this.recovered = recovered;
    this.lives = lives;
    this.recovery = recovery;
    this.confirmed = recovered.life.number === 0 || broken.has('unconfirmed-acts');
  }

  /** May it promise, accept, write and answer? */
  get acts(): boolean {
    return this.recovery.voting && this.confirmed && this.voided === null;
  }

  /** With the first step. */
  begin(): void {
    this.lifeSeq ??= this.lives.begin();
  }

  /** M1: may a packet leave? */
  speaks(persistedTo: number): boolean {
    return this.lifeSeq !== null && this.lifeSeq <= persistedTo;
  }

  /** M5: a voter has held this life against what it remembers, and found nothing missing. */
  confirm({ life, lives }: Status): void {
    const own = this.recovered.life.number;
    if (life.number === 0 || at(lives, this.self) === own) this.confirmed = true;
  }

  /** M4: true if it is this life that is meant. */
  handleVoid(control: Extract<Control, { type: 'void' }>): boolean {
    const { incarnation, life } = this.recovered;
    if (control.incarnation !== incarnation || control.life !== life.number) return false;
    this.voided = Math.max(this.voided ?? 0, control.known);
    this.recovery.giveUp();
    return true;
  }

  /** What it says of itself, of whom it hears, and of the lanes. */
  statement(version: number, hears: Status['hears'], lanes: Status['lanes']): Status {
    return {
      replica: this.self,
      incarnation: this.recovered.incarnation,
      life: this.life,
      lives: this.lives.numbers(),
      descent: this.lives.descent,
      version,
      hears,
      lanes,
      voting: this.recovery.voting,
    };
  }
}
