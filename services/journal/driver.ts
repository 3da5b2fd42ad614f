/**
 * The event loop around the lane core: gathers everything that happened in one turn of the event loop
 * into one step, and does what the step says, in the order of the contract (libs/lane/types.ts):
 * writes to the log, packets to the peers, answers to the waiting, releases to the state machine.
 *
 * Inputs of a turn are stepped in its check phase (setImmediate), right behind the I/O that brought
 * them: that costs no latency and makes entries and packets as large as the load is.
 * Any exception in here means that the replica's state is not to be trusted any more: `onFatal`
 * must end the process, and nothing is stepped again.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { LaneCore } from '../../libs/lane/core.ts';
import type { Effects, Input, Mark, Space } from '../../libs/lane/types.ts';
import type { Outcome } from '../../libs/order/types.ts';
import type { Log } from '../../libs/storage/log.ts';
import type { ReplicaId, SeqNum, Timestamp } from '../../libs/values/numbers.ts';
import type { AppendSession } from './append-session.ts';
import type { Clocks } from './clocks.ts';
import type { Frame, JournalPacket, PendingAppend } from './content.ts';
import type { LaneStore } from './lane-store.ts';
import type { LogState } from './log-state.ts';
import { appendWrite } from './recovery.ts';
import type { Releaser } from './releaser.ts';

export interface DriverOptions {
  readonly core: LaneCore<Frame, PendingAppend>;
  readonly log: Log;
  readonly store: LaneStore;
  /** Protocol state as of what was handed to the log. */
  readonly state: LogState;
  readonly releaser: Releaser;
  readonly clocks: Clocks;
  /** Timers of the protocol are looked at so often where one is due soon, else `CALM_TICKS` times less. */
  readonly tickMs: number;
  readonly heartbeatsMax: number;
  readonly send: (to: ReplicaId, packet: JournalPacket) => void;
  /** Called after every step and slice of releases. */
  readonly afterStep: () => void;
  /** Microseconds between handing writes to the log and having them on disk. */
  readonly synced: (micros: number) => void;
  readonly onFatal: (error: unknown) => void;
}

/** With the defaults 20 ms, half of what a beacon waits. */
const CALM_TICKS = 4;

type JournalInput = Input<Frame, PendingAppend>;
type JournalEffects = Effects<Frame, PendingAppend>;

export class Driver {
  readonly #options: DriverOptions;
  #inputs: JournalInput[] = [];
  #appends: PendingAppend[] = [];
  #answered: AppendSession[] = [];
  readonly #heartbeats = new Map<number, (readPoint: Timestamp) => void>();
  #lastHeartbeat = 0;
  #scheduled = false;
  #stopped = false;
  #seq = 0;
  /** Fires when no step has been made for a while. */
  #calm: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  steps = 0;

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  start(): void {
    const { tickMs } = this.#options;
    this.#calm = setInterval(() => {
      this.#input({ type: 'tick' });
    }, CALM_TICKS * tickMs);
    this.#input({ type: 'tick' });
  }

  /** Steps no more; what is in the log is still synced by closing it. */
  stop(): void {
    this.#stopped = true;
    if (this.#calm !== null) clearInterval(this.#calm);
    if (this.#soon !== null) clearTimeout(this.#soon);
  }

  /** Heartbeats under way. */
  get heartbeatCount(): number {
    return this.#heartbeats.size;
  }

  submit(append: PendingAppend): void {
    this.#appends.push(append);
    this.#schedule();
  }

  receive(from: ReplicaId, packet: JournalPacket): void {
    this.#input({ type: 'packet', from, packet });
  }

  connected(peer: ReplicaId): void {
    this.#input({ type: 'connected', peer });
  }

  /** The wall clock is at most this far from the truth (T5). */
  clockError(micros: number): void {
    this.#input({ type: 'clockError', micros });
  }

  /** The link over which the peer was heard has ended. */
  disconnected(peer: ReplicaId): void {
    this.#input({ type: 'disconnected', peer });
  }

  /** The session has answers to flush at the end of this turn; only called inside one. */
  answered(session: AppendSession): void {
    this.#answered.push(session);
  }

  /**
   * Asks for a read point: no append completed before this call lies above it. Calls `done` once,
   * unless forgotten before (the returned function). Throws `OVERLOADED`.
   */
  heartbeat(done: (readPoint: Timestamp) => void): () => void {
    if (this.#heartbeats.size >= this.#options.heartbeatsMax) {
      throw new MeridianError('OVERLOADED', `${this.#heartbeats.size} heartbeats are under way`, {
        details: { retryAfterMs: 100, limit: this.#options.heartbeatsMax },
      });
    }
    const id = (this.#lastHeartbeat += 1);
    this.#heartbeats.set(id, done);
    this.#input({ type: 'heartbeat', id });
    return () => {
      this.#heartbeats.delete(id);
    };
  }

  /** Entries at or below these marks, one a lane, have left the log. */
  trimmed(bases: readonly Mark[]): void {
    this.#input({ type: 'trimmed', bases });
  }

  /** So much room has the disk from now on. */
  space(space: Space): void {
    this.#input({ type: 'space', space });
  }

  /** There may be something to execute again. */
  wake(): void {
    this.#schedule();
  }

  #input(input: JournalInput): void {
    this.#inputs.push(input);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    if (this.#stopped) return;
    try {
      if (this.#inputs.length > 0 || this.#appends.length > 0) this.#step();
      const more = this.#options.releaser.run();
      this.#flushSessions();
      this.#options.afterStep();
      if (more) this.#schedule();
    } catch (error) {
      this.stop();
      this.#options.onFatal(error);
    }
  };

  #step(): void {
    const { core, clocks } = this.#options;
    const inputs = this.#inputs;
    this.#inputs = [];
    if (this.#appends.length > 0) {
      inputs.push({ type: 'append', appends: this.#appends });
      this.#appends = [];
    }
    this.steps += 1;
    this.#execute(core.step(inputs, clocks.monotonic(), clocks.wall()));
    this.#calm?.refresh();
    if (!core.hurries) return;
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      this.#input({ type: 'tick' });
    }, this.#options.tickMs);
  }

  #execute(effects: JournalEffects): void {
    const { log, store, state, send, releaser, clocks, synced } = this.#options;
    for (const write of effects.writes) appendWrite(log, store, state, write);
    if (effects.seq !== this.#seq) {
      const { seq } = effects;
      this.#seq = seq;
      const startedAt = clocks.monotonic();
      log.sync(() => {
        synced(clocks.monotonic() - startedAt);
        this.#input({ type: 'persisted', seq });
      });
    }
    for (const { to, packet } of effects.packets) send(to, packet);
    for (const { entry, appends } of effects.acknowledged) {
      // One outcome for the whole entry: only its timestamp is known before the release.
      const { timestamp } = entry;
      const outcome: Outcome = { kind: 'appended', timestamp, firstSeqNum: 0 as SeqNum };
      for (const append of appends) append.owner.committed(append, outcome);
    }
    for (const { append, reason } of effects.refused) append.owner.refused(append, reason);
    releaser.add(effects.released, effects.watermark);
    for (const { id, readPoint } of effects.readPoints) {
      const done = this.#heartbeats.get(id);
      this.#heartbeats.delete(id);
      done?.(readPoint);
    }
  }

  #flushSessions(): void {
    const answered = this.#answered;
    if (answered.length === 0) return;
    this.#answered = [];
    for (const session of answered) session.flush();
  }
}
