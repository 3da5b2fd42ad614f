/**
 * Streams a history to its file while it happens. Owns the clock of the history, the numbers of the
 * operations and the file. An operation is one line, written when it is over; those that nobody
 * answered are written by `close`, as unknown. Writes are synchronous, 64 KiB at a time: nothing piles
 * up in memory, and a harness that dies leaves all but its last lines.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Line } from './history.ts';
import type {
  Action,
  Answer,
  Delivery,
  Fault,
  FinalBatch,
  FinalRow,
  Header,
  Operation,
  Outcome,
  Place,
  Scope,
} from './operation.ts';

const CHUNK_CHARS = 64 * 1024;

export interface RecorderOptions extends Omit<Header, 'format' | 'version' | 'startedAt'> {
  readonly path: string;
}

/** Who does something: the first three fields of an operation. */
export type Actor = Pick<Operation, 'workload' | 'client' | 'region'>;

/** Operations that are over, for figures while the run is under way. */
export type Listener = (operation: Operation) => void;

export class Recorder {
  readonly path: string;
  readonly #began = process.hrtime.bigint();
  readonly #file: number;
  readonly #open = new Map<number, Omit<Operation, 'completedUs' | 'outcome'>>();
  readonly #faults = new Set<{ readonly fault: Fault }>();
  readonly #listeners: Listener[] = [];
  #next = 0;
  #chunk: string[] = [];
  #chars = 0;

  constructor({ path, ...header }: RecorderOptions) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.#file = openSync(path, 'w');
    const startedAt = new Date().toISOString();
    this.#write({ type: 'header', format: 'meridian-history', version: 1, startedAt, ...header });
  }

  /** Microseconds since the run began. */
  nowUs(): number {
    return Number((process.hrtime.bigint() - this.#began) / 1000n);
  }

  onOperation(listener: Listener): void {
    this.#listeners.push(listener);
  }

  /** Call it before anything is sent; returns the operation's id. */
  invoke(actor: Actor, action: Action): number {
    const id = this.#next++;
    const { workload, client, region } = actor;
    this.#open.set(id, { id, workload, client, region, action, invokedUs: this.nowUs() });
    return id;
  }

  /** Call it as soon as the answer is there. */
  complete(id: number, outcome: Outcome): void {
    const open = this.#open.get(id);
    if (open === undefined) throw new MeridianError('INVALID', `operation ${id} is not open`);
    this.#open.delete(id);
    this.#finish({ ...open, completedUs: this.nowUs(), outcome });
  }

  /**
   * Runs one operation and records it. Returns the answer, or null where it failed or nobody knows.
   * An error that is not a MeridianError ends the run: it is a bug of the harness.
   */
  async run(actor: Actor, action: Action, call: () => Promise<Answer>): Promise<Answer | null> {
    const id = this.invoke(actor, action);
    try {
      const answer = await call();
      this.complete(id, { kind: 'ok', answer });
      return answer;
    } catch (error) {
      this.complete(id, outcomeOf(error));
      return null;
    }
  }

  delivered(delivery: Omit<Delivery, 'atUs'>): void {
    this.#write({ type: 'delivery', atUs: this.nowUs(), ...delivery });
  }

  progress(observer: string, watermark: number): void {
    this.#write({ type: 'progress', observer, atUs: this.nowUs(), watermark });
  }

  /** Call it before the observer is given anything. */
  resumed(observer: string, scope: Scope, after: Place | null): void {
    this.#write({ type: 'resumption', observer, atUs: this.nowUs(), scope, after });
  }

  /** A fault begins; call what comes back when it ends. */
  fault(name: string, target: string): () => void {
    const open = { fault: { name, target, fromUs: this.nowUs(), untilUs: null } };
    this.#faults.add(open);
    return () => {
      if (!this.#faults.delete(open)) return;
      this.#write({ type: 'fault', ...open.fault, untilUs: this.nowUs() });
    };
  }

  final(batch: FinalBatch): void {
    this.#write({ type: 'final', ...batch });
  }

  row(row: FinalRow): void {
    this.#write({ type: 'row', ...row });
  }

  /** Writes what is still open. The recorder takes nothing more. */
  close(): void {
    for (const open of this.#open.values()) {
      const outcome: Outcome = { kind: 'unknown', reason: 'no answer before the end' };
      this.#finish({ ...open, completedUs: null, outcome });
    }
    this.#open.clear();
    for (const { fault } of this.#faults) this.#write({ type: 'fault', ...fault });
    this.#faults.clear();
    this.#flush();
    closeSync(this.#file);
  }

  #finish(operation: Operation): void {
    this.#write({ type: 'operation', ...operation });
    for (const listener of this.#listeners) listener(operation);
  }

  #write(line: Line): void {
    const text = `${JSON.stringify(line)}\n`;
    this.#chunk.push(text);
    this.#chars += text.length;
    if (this.#chars >= CHUNK_CHARS) this.#flush();
  }

  #flush(): void {
    writeSync(this.#file, this.#chunk.join(''));
    this.#chunk = [];
    this.#chars = 0;
  }
}

/** A MeridianError says by itself whether it certainly had no effect. Others are thrown on. */
export function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof MeridianError)) throw error;
  const { reason, details, noEffect } = error;
  if (!noEffect) return { kind: 'unknown', reason };
  return Object.keys(details).length === 0
    ? { kind: 'failed', reason }
    : { kind: 'failed', reason, details };
}
