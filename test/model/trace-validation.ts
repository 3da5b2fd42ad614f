/**
 * Runs of the simulation, held against the specification: each lane of each run must be a behaviour of it
 * (trace.pml). Runs with a rule of the core broken must not all be: otherwise this would prove nothing.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RuleId } from '../../libs/lane/rules.ts';
import { drawOptions, type Fault } from '../simulation/options.ts';
import { run } from '../simulation/run.ts';
import type { Checkers, Defines } from './spin.ts';
import { RunTrace, type LaneTrace } from './traces.ts';

const BOUNDS = { epochs: 24, entries: 100, events: 3_000 };
const SIZES: Defines = { EPOCHS: BOUNDS.epochs, ENTRIES: BOUNDS.entries, CLOCKS: 250, ORDER: 0 };
const FAULTS: readonly Fault[] = ['crash', 'pause', 'isolate', 'cut', 'cutOneWay', 'reset', 'clog'];
const SECONDS = 20;

/** Rules of the core whose absence makes a trace that is none of the specification, and how soon. */
export const TRACES_PLANTED: readonly { readonly rule: RuleId; readonly seedsMax: number }[] = [
  { rule: 'fence-off', seedsMax: 60 },
  { rule: 'adopt-shorter', seedsMax: 60 },
  { rule: 'L5-sealer-appends', seedsMax: 60 },
];

export interface Judged {
  readonly seed: number;
  readonly lane: number;
  readonly events: number;
  readonly states: number;
  /** null: a behaviour of the specification. */
  readonly why: string | null;
}

export class TraceValidator {
  private readonly checkers: Checkers;
  private readonly folder = mkdtempSync(join(tmpdir(), 'meridian-traces-'));

  constructor(checkers: Checkers) {
    this.checkers = checkers;
  }

  end(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  async validate(seed: number, broken: readonly RuleId[] = []): Promise<Judged[]> {
    const trace = new RunTrace(BOUNDS);
    run(optionsOf(seed, broken), { listener: trace });
    const judged: Judged[] = [];
    for (const [lane, { events }] of trace.lanes.entries()) {
      const name = `${String(seed)}-${String(lane)}-${broken.join('-')}`;
      const why = await this.judge(name, trace.lanes[lane]);
      judged.push({ seed, lane, events: events.length, ...why });
    }
    return judged;
  }

  private async judge(name: string, trace: LaneTrace | undefined) {
    if (trace === undefined) throw new Error(`no lane ${name}`);
    const file = join(this.folder, name);
    writeFileSync(file, trace.text());
    const { accepted, violation, furthest, states } = await this.checkers.follow(SIZES, file);
    if (accepted) return { states, why: null };
    const at = JSON.stringify(trace.events[furthest]);
    return { states, why: violation ?? `event ${String(furthest)} cannot follow: ${at}` };
  }
}

/** Short, with much changing of writers; a record more or less tells nothing new. */
function optionsOf(seed: number, broken: readonly RuleId[]) {
  const focus = { faults: FAULTS, intensity: 2 };
  const options = drawOptions(seed, { broken: new Set(broken), focus });
  return {
    ...options,
    faultPhase: SECONDS * 1_000_000,
    workload: { ...options.workload, operationsMin: 0 },
  };
}
