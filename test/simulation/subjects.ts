/**
 * What a seed can be of: one instance, or the whole system. How its options are drawn, run, and made easier; for
 * whatever does not care which of the two it is (main.ts, shrink.ts).
 */
import { plant, systemBug } from './campaign.ts';
import { drawOptions, type SimulationOptions } from './options.ts';
import { run, type RunResult } from './run.ts';
import { FOUNDERS } from './system/members.ts';
import { SYSTEM_FOCUS } from './system/system-bugs.ts';
import { drawSystemOptions, type SystemOptions } from './system/system-options.ts';
import { runSystem } from './system/system-run.ts';

type Print = ((line: string) => void) | null;

export interface Subject<Options> {
  /** What `npm run sim` takes to mean this one. */
  readonly flag: string;
  /** With `control`, the run in which a planted bug would be looked for, without it. */
  draw(seed: number, bug?: string, control?: boolean): Options;
  run(options: Options, print: Print): RunResult | Promise<RunResult>;
  /** Only these strikes happen; null: all. */
  struck(options: Options, strikes: ReadonlySet<number> | null): Options;
  /** What a failure may not need, by the name that `--without` takes. */
  readonly easings: readonly string[];
  eased(options: Options, without: readonly string[]): Options;
}

type Easings<Options> = Readonly<Record<string, (options: Options) => Partial<Options>>>;

const INSTANCE_EASINGS: Easings<SimulationOptions> = {
  loss: ({ network }) => ({ network: { ...network, loss: 0 } }),
  duplicates: ({ network }) => ({ network: { ...network, duplicate: 0 } }),
  ghosts: ({ network }) => ({ network: { ...network, ghost: 0 } }),
  jitter: ({ network, disk }) => ({
    network: { ...network, jitter: 0 },
    disk: { ...disk, jitter: 0 },
  }),
  stalls: ({ disk }) => ({ disk: { ...disk, stall: 0 } }),
  skew: ({ clocks }) => ({ clocks: { ...clocks, offset: 0, driftPpm: 0 } }),
  checkpoints: ({ checkpoints }) => ({ checkpoints: { ...checkpoints, every: 0 } }),
  turns: () => ({ turn: 0 }),
  reads: ({ workload }) => ({ workload: { ...workload, reads: 0 } }),
  conditions: ({ workload }) => ({ workload: { ...workload, conditions: 0 } }),
  clients: ({ workload }) => ({ workload: { ...workload, clients: 2 } }),
};

const SYSTEM_EASINGS: Easings<SystemOptions> = {
  ...Object.fromEntries(
    Object.entries(INSTANCE_EASINGS).map(([name, ease]) => [
      name,
      ({ instances }: SystemOptions) => ({
        instances: instances.map((instance) => ({ ...instance, ...ease(instance) })),
      }),
    ]),
  ),
  archive: ({ instances }) => ({
    archive: null,
    instances: instances.map((instance) => ({
      ...instance,
      checkpoints: { ...instance.checkpoints, trim: 0 },
    })),
  }),
  members: ({ instances }) => ({ members: null, instances: instances.slice(0, FOUNDERS) }),
  failures: ({ database, archive }) => ({
    database: { ...database, failing: 0 },
    archive: archive && { ...archive, failing: 0, damaging: 0 },
  }),
  crossbar: () => ({ crossbars: 1 }),
  subscribers: () => ({ subscribers: 1 }),
  applier: () => ({ appliers: 1 }),
};

function easedBy<Options>(
  easings: Easings<Options>,
  options: Options,
  without: readonly string[],
): Options {
  return without.reduce((o, name) => ({ ...o, ...easings[name]?.(o) }), options);
}

export const ONE_INSTANCE: Subject<SimulationOptions> = {
  flag: '',
  draw: (seed, bug, control = false) => {
    const planted = bug === undefined ? {} : plant(bug);
    return drawOptions(seed, control ? { focus: planted.focus ?? {} } : planted);
  },
  run: (options, print) => run(options, { print }),
  struck: (options, strikes) => ({ ...options, strikes }),
  easings: Object.keys(INSTANCE_EASINGS),
  eased: (options, without) => easedBy(INSTANCE_EASINGS, options, without),
};

export const SYSTEM: Subject<SystemOptions> = {
  flag: ' --system',
  draw: (seed, id, control = false) => {
    const bug = id === undefined ? null : systemBug(id);
    if (id !== undefined && bug === null) throw new Error(`${id} is no bug of the system`);
    const focus = bug === null ? {} : (SYSTEM_FOCUS[bug] ?? {});
    return drawSystemOptions(seed, { focus, bug: control ? null : bug });
  },
  run: (options, print) => runSystem(options, print),
  struck: (options, strikes) => ({
    ...options,
    strikes,
    instances: options.instances.map((instance) => ({ ...instance, strikes })),
  }),
  easings: Object.keys(SYSTEM_EASINGS),
  eased: (options, without) => easedBy(SYSTEM_EASINGS, options, without),
};
