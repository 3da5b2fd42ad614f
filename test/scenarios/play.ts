/**
 * Plays a scenario: a text of comments (`#`), commands (`>`) and what they caused. The result is the
 * same text with the output as it is now. Commands are in COMMANDS; replicas are A, B, C.
 */
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { RuleId } from '../../libs/lane/rules.ts';
import { Trio } from '../../libs/lane/testing.ts';
import type { LaneSettings } from '../../libs/lane/types.ts';
import { describeEvent, describeReplica, letterOf, timeOf } from './describe.ts';

export function play(scenario: string): string {
  const stage = new Stage();
  const out: string[] = [];
  for (const line of scenario.split('\n')) {
    if (line.startsWith('#')) out.push(line);
    else if (line.startsWith('> ')) {
      const output = stage.perform(line.slice(2).trim().split(/\s+/));
      out.push(line, ...output.map((text) => `  ${text}`), '');
    }
  }
  return out.join('\n');
}

type Command = (stage: Stage, ...words: string[]) => void;

const COMMANDS: Readonly<Record<string, Command>> = {
  /** setting NAME VALUE; before `start`. */
  setting: (stage, name = '', value = '') => {
    stage.settings[name] = Number(value);
  },
  break: (stage, rule = '') => {
    stage.broken.push(rule as RuleId);
  },
  /** All three, until their lanes are open; without the noise of it, unless `loudly`. */
  start: (stage, how = '') => {
    stage.open(how === 'loudly');
  },
  run: ({ trio }, millis = '0') => {
    trio.run(Number(millis));
  },
  /** Without printing. */
  skip: (stage, millis = '0') => {
    stage.quietly(() => {
      stage.trio.run(Number(millis));
    });
  },
  append: ({ trio }, where = '', ...names) => {
    for (const name of names) trio.append(idOf(where), name);
  },
  heartbeat: ({ trio }, where = '') => {
    trio.heartbeat(idOf(where));
  },
  'until-acknowledged': ({ trio }, name = '') => {
    trio.until(() => trio.acknowledged(name));
  },
  'until-released': ({ trio }, name = '') => {
    trio.until(() =>
      trio.replicas.every(({ core, id }) => core === null || trio.releasedBy(id, name)),
    );
  },
  /** until-role REPLICA LANE ROLE */
  'until-role': ({ trio }, where = '', lane = '', role = '') => {
    trio.until(() => trio.lane(idOf(where), idOf(lane)).role === role);
  },
  'until-votes': ({ trio }, where = '') => {
    trio.until(() => trio.replica(idOf(where)).core?.inspect().voting === true);
  },
  /** cut A B: both directions; cut A>B: one. */
  cut: ({ trio }, ...words) => {
    for (const [from, to] of directions(words)) trio.cut(from, to);
  },
  mend: ({ trio }, ...words) => {
    for (const [from, to] of directions(words)) trio.mend(from, to);
  },
  hold: ({ trio }, ...words) => {
    for (const [from, to] of directions(words)) trio.hold(from, to);
  },
  release: ({ trio }, ...words) => {
    for (const [from, to] of directions(words)) trio.release(from, to);
  },
  drop: ({ trio }, ...words) => {
    for (const [from, to] of directions(words)) trio.take(from, to);
  },
  crash: ({ trio }, where = '') => {
    trio.crash(idOf(where));
  },
  restart: ({ trio }, where = '') => {
    trio.restart(idOf(where));
  },
  wipe: ({ trio }, where = '') => {
    trio.wipe(idOf(where));
  },
  /** disk A stuck; disk A works */
  disk: ({ trio }, where = '', how = '') => {
    trio.replica(idOf(where)).disk.held = how === 'stuck';
  },
  /** clock A SECONDS: its wall clock is so much ahead of true time. */
  clock: ({ trio }, where = '', seconds = '0') => {
    trio.replica(idOf(where)).wallOffset = Number(seconds) * 1e6;
  },
  show: (stage) => {
    for (const { id, core } of stage.trio.replicas) {
      if (core === null) stage.print(`${letterOf(id)} is down`);
      else for (const line of describeReplica(id, core)) stage.print(line);
    }
  },
  /** Everything mended: all promises are checked; prints the order. */
  settle: (stage) => {
    stage.quietly(() => {
      stage.trio.settle();
    });
    stage.print(`order: ${stage.trio.order.map(({ name }) => name).join(' ')}`);
  },
  watermarks: (stage) => {
    for (const { id, watermark } of stage.trio.replicas) {
      stage.print(`${letterOf(id)} ${timeOf(watermark)}, now t${String(stage.trio.now / 1_000)}`);
    }
  },
};

class Stage {
  settings: Record<string, number> = {};
  readonly broken: RuleId[] = [];
  private started: Trio | null = null;
  private lines: string[] = [];
  private since = 0;

  get trio(): Trio {
    if (this.started === null) throw new Error('the scenario does not begin with "start"');
    return this.started;
  }

  perform([name = '', ...words]: string[]): string[] {
    const command = COMMANDS[name];
    if (command === undefined) throw new Error(`no such command: ${name}`);
    this.lines = [];
    this.since = this.started?.now ?? 0;
    try {
      command(this, ...words);
    } catch (error) {
      this.print(`fails: ${error instanceof Error ? error.message : String(error)}`);
    }
    return this.lines;
  }

  open(loudly: boolean): void {
    const settings = this.settings as Partial<LaneSettings>;
    this.started = new Trio({ settings, broken: this.broken });
    const { trio } = this;
    if (loudly) this.listen();
    for (const id of REPLICAS) trio.start(id);
    trio.until(() => REPLICAS.every((id) => trio.lane(id, id).committed > 0));
    trio.run(loudly ? 50 : 300);
    this.listen();
  }

  quietly(action: () => void): void {
    this.trio.observe = () => undefined;
    action();
    this.listen();
  }

  print(line: string): void {
    this.lines.push(line);
  }

  private listen(): void {
    this.trio.observe = (event) => {
      const millis = (this.trio.now - this.since) / 1_000;
      for (const text of describeEvent(event)) this.print(`+${String(millis)} ms  ${text}`);
    };
  }
}

function idOf(word: string): ReplicaId {
  const id = REPLICAS.find((replica) => letterOf(replica) === word);
  if (id === undefined) throw new Error(`no such replica: "${word}"`);
  return id;
}

/** "A B" is both directions between the two, "A>B" one. */
function directions(words: readonly string[]): [ReplicaId, ReplicaId][] {
  const [first = '', second] = words;
  if (second === undefined) {
    const [from = '', to = ''] = first.split('>');
    return [[idOf(from), idOf(to)]];
  }
  return [
    [idOf(first), idOf(second)],
    [idOf(second), idOf(first)],
  ];
}
