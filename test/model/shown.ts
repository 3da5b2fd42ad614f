/**
 * What the outside has seen so far, and the promises it rests on: the invariants of the search over
 * the real core, the same as the simulation's checkers state, on one step at a time.
 */
import type { Entry } from '../../libs/lane/types.ts';
import { at } from '../../libs/values/assert.ts';
import type { State, Step } from './replica-states.ts';

export class Shown {
  readonly key: string;
  /** The one order: whoever released first. */
  readonly order: readonly string[];
  /** Highest watermark shown by anybody. */
  readonly watermark: number;
  /** Highest timestamp of a completed append. */
  readonly completed: number;
  /** Of each heartbeat under way: what had been completed when it was asked. */
  readonly floors: readonly (readonly [id: number, floor: number])[];

  constructor(
    order: readonly string[],
    watermark: number,
    completed: number,
    floors: Shown['floors'],
  ) {
    this.order = order;
    this.watermark = watermark;
    this.completed = completed;
    this.floors = floors;
    this.key = `${order.join(' ')}/${String(watermark)}/${String(completed)}/${floors.join(' ')}`;
  }

  asked(id: number): Shown {
    const floors = [...this.floors, [id, this.completed] as const];
    return new Shown(this.order, this.watermark, this.completed, floors);
  }
}

/** What is shown after the step, or which promise it breaks. */
export function check(
  shown: Shown,
  replicas: readonly State[],
  before: State,
  step: Step,
): Shown | string {
  if (step.violation !== null) return step.violation;
  const { self, watermark } = step.state;
  const name = `r${String(self)}`;
  let { completed, floors } = shown;
  const order = [...shown.order];
  for (const entry of step.acknowledged) {
    const copies = copiesOf(replicas, entry);
    if (copies < 2) return `P1: ${name} acknowledges ${nameOf(entry)}, on ${String(copies)} disks`;
    completed = Math.max(completed, entry.timestamp);
  }
  for (const [i, entry] of step.released.entries()) {
    const problem = releasedWrongly(shown, order, replicas, before.count + i, entry, step.state);
    if (problem !== null) return `${name} releases ${nameOf(entry)}: ${problem}`;
    completed = Math.max(completed, entry.timestamp);
  }
  const missing = order[step.state.count];
  if (missing !== undefined && Number(missing.split('@')[1]) <= watermark) {
    return `P2: ${name} shows watermark ${String(watermark)} without ${missing}`;
  }
  for (const { id, readPoint } of step.readPoints) {
    const floor = floors.find(([asked]) => asked === id)?.[1] ?? 0;
    if (readPoint < floor) {
      return `P3: ${name} reads at ${String(readPoint)}, ${String(floor)} was completed before`;
    }
    floors = floors.filter(([asked]) => asked !== id);
  }
  if (step.refused.length > 0 && order.some((entry) => step.refused.includes(recordOf(entry)))) {
    return `P6: ${name} refuses a record that took effect`;
  }
  return new Shown(order, Math.max(shown.watermark, watermark), completed, floors);
}

function releasedWrongly(
  shown: Shown,
  order: string[],
  replicas: readonly State[],
  number: number,
  entry: Entry<readonly number[]>,
  state: State,
): string | null {
  const known = order[number];
  const text = nameOf(entry);
  if (known !== undefined && known !== text) return `P2: there stands ${known}`;
  if (known === undefined) {
    if (entry.timestamp <= shown.watermark) {
      return `O5: at or below the watermark ${String(shown.watermark)} that somebody has shown`;
    }
    if (order.some((other) => recordOf(other) === entry.content?.[0])) return 'L6: a second time';
    if (Math.floor(entry.epoch) % 8 !== entry.lane) return 'L5: written by a sealer';
    order.push(text);
  }
  const copies = copiesOf(replicas, entry);
  if (copies < 2) return `P1: on ${String(copies)} disks`;
  if (!holds(state, entry)) return 'L3: not on its own disk';
  return null;
}

function copiesOf(replicas: readonly State[], entry: Entry<readonly number[]>): number {
  return replicas.filter((state) => holds(state, entry)).length;
}

function holds(state: State, entry: Entry<readonly number[]>): boolean {
  return at(state.disk.lanes, entry.lane).entries[entry.index - 1]?.epoch === entry.epoch;
}

/** lane/epoch/index/record@timestamp */
function nameOf(entry: Entry<readonly number[]>): string {
  const place = [entry.lane, entry.epoch, entry.index, entry.content?.join('+') ?? ''].join('/');
  return `${place}@${String(entry.timestamp)}`;
}

function recordOf(name: string): number {
  return Number(name.split('@')[0]?.split('/')[3]);
}
