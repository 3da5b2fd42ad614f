/**
 * Which control actions have been decided lately (SPEC.md, C1–C4), so that a repetition through any region
 * hears the first outcome and does nothing. Everything here, forgetting included, is decided by the log.
 *
 * An action that arrives after its `notAfter` is void: so a copy that a cut off region brings into the
 * order long after the others have forgotten it cannot act a second time. When there is no room to
 * remember another one it is refused, and none is forgotten before its time.
 */
import type { Control } from '../frames/control.ts';
import { assert } from '../values/assert.ts';
import type { Timestamp } from '../values/numbers.ts';
import { fingerprint } from './hash.ts';
import type { ChunkReader, ChunkWriter } from './snapshot.ts';
import type { ActionOutcome, Outcome } from './types.ts';

export interface ActionBounds {
  readonly actionsMax: number;
  readonly actionAgeMaxMicros: number;
}

interface Decided {
  readonly id: string;
  /** Of stream and action: the same id for another one is a mistake. */
  readonly print: number;
  readonly timestamp: Timestamp;
  readonly outcome: ActionOutcome;
}

export class Actions {
  readonly #bounds: ActionBounds;
  readonly #byId = new Map<string, Decided>();
  /** Oldest first, from `#head` on. */
  #order: (Decided | undefined)[] = [];
  #head = 0;

  constructor(bounds: ActionBounds) {
    assert(bounds.actionsMax >= 1 && bounds.actionAgeMaxMicros >= 1, 'room for an action');
    this.#bounds = bounds;
  }

  get count(): number {
    return this.#byId.size;
  }

  /** null: it is to be executed, and `remember`ed; otherwise the answer, and nothing happens. */
  admit(stream: string, { requestId, notAfter, action }: Control, now: Timestamp): Outcome | null {
    this.#age(now);
    const known = requestId === '' ? undefined : this.#byId.get(requestId);
    if (known !== undefined) {
      return known.print === printOf(stream, action)
        ? { kind: 'duplicate', first: known.outcome }
        : { kind: 'failed', failure: { reason: 'INVALID', requestId } };
    }
    if (notAfter > 0 && now > notAfter) {
      return { kind: 'failed', failure: { reason: 'UNAVAILABLE', notAfter } };
    }
    const { actionsMax } = this.#bounds;
    if (requestId === '' || this.#byId.size < actionsMax) return null;
    const failure = { reason: 'OVERLOADED', what: 'actions', limit: actionsMax } as const;
    return { kind: 'failed', failure };
  }

  remember(stream: string, control: Control, timestamp: Timestamp, outcome: ActionOutcome): void {
    const { requestId: id, action } = control;
    if (id === '') return;
    this.#add({ id, print: printOf(stream, action), timestamp, outcome });
  }

  *save(out: ChunkWriter): Generator<Uint8Array> {
    out.u32(this.#byId.size);
    for (const decided of this.#order.slice(this.#head)) {
      assert(decided !== undefined, 'from the head on all are there');
      if (!out.hasRoom) yield out.cut(false);
      out.text(decided.id);
      out.u32(decided.print);
      out.u64(decided.timestamp);
      out.text(JSON.stringify(decided.outcome));
    }
  }

  /** Into an empty one. */
  restore(from: ChunkReader): void {
    for (let left = from.u32(); left > 0; left -= 1) {
      from.item();
      const id = from.text();
      assert(!this.#byId.has(id), `action ${id} comes once`);
      const print = from.u32();
      const timestamp = from.u64() as Timestamp;
      this.#add({ id, print, timestamp, outcome: JSON.parse(from.text()) as ActionOutcome });
    }
  }

  #add(decided: Decided): void {
    this.#byId.set(decided.id, decided);
    this.#order.push(decided);
  }

  #age(now: Timestamp): void {
    const horizon = now - this.#bounds.actionAgeMaxMicros;
    let oldest = this.#order[this.#head];
    while (oldest !== undefined && oldest.timestamp < horizon) {
      this.#byId.delete(oldest.id);
      this.#order[this.#head] = undefined;
      this.#head += 1;
      oldest = this.#order[this.#head];
    }
    if (this.#head * 2 <= this.#order.length || this.#head === 0) return;
    this.#order = this.#order.slice(this.#head);
    this.#head = 0;
  }
}

function printOf(stream: string, action: Control['action']): number {
  return fingerprint(`${stream}\n${JSON.stringify(action)}`) >>> 0;
}
