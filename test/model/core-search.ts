/**
 * Breadth-first search over the real core: three replicas, the packets between them, and what was
 * shown to the outside. A transition is one thing that may happen next: a packet arrives, a disk
 * syncs, a process dies, time passes, a client asks. All of them are tried in every state, so a
 * depth that is finished is finished for good, and a violation is found by a shortest way.
 */
import { at } from '../../libs/values/assert.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { RuleId } from '../../libs/lane/rules.ts';
import type { Action, State, Step } from './replica-states.ts';
import { EMPTY, Replicas } from './replica-states.ts';
import { Shown, check } from './shown.ts';

/** What may still happen. */
export interface Budget {
  readonly appends: number;
  readonly heartbeats: number;
  readonly crashes: number;
  readonly timeouts: number;
}

interface World {
  readonly replicas: readonly State[];
  /** Packets under way, oldest first, by `from * 3 + to`. */
  readonly links: readonly (readonly number[])[];
  readonly budget: Budget;
  readonly shown: Shown;
  readonly parent: World | null;
  readonly what: string;
}

export interface Search {
  readonly states: number;
  /** Everything up to here was explored. */
  readonly depth: number;
  /** The scope has no further states. */
  readonly exhausted: boolean;
  readonly violation: string | null;
  readonly story: readonly string[];
  /** Distinct states of single replicas, and steps of the core that were executed. */
  readonly replicaStates: number;
  readonly steps: number;
}

/** Under way on one link; one more and the oldest is lost. */
const LINK_PACKETS_MAX = 2;
const SETTLING_ROUNDS_MAX = 60;

export function searchCore(
  budget: Budget,
  statesMax: number,
  broken: ReadonlySet<RuleId> = new Set(),
): Search {
  return new CoreSearch(new Replicas(broken), statesMax).run(budget);
}

class CoreSearch {
  private readonly replicas: Replicas;
  private readonly statesMax: number;
  private readonly visited = new Set<string>();
  private readonly shown = new Map<string, Shown>();

  constructor(replicas: Replicas, statesMax: number) {
    this.replicas = replicas;
    this.statesMax = statesMax;
  }

  run(budget: Budget): Search {
    let frontier: World[] = [];
    let depth = 0;
    const begin = this.settled(budget);
    if (typeof begin === 'string') return this.result(0, false, begin, []);
    this.visited.add(keyOf(begin));
    frontier.push(begin);
    while (frontier.length > 0) {
      const next: World[] = [];
      for (const world of frontier) {
        for (const successor of this.successors(world)) {
          if ('violation' in successor) {
            const story = [...storyOf(world), successor.what];
            return this.result(depth, false, successor.violation, story);
          }
          const key = keyOf(successor);
          if (this.visited.has(key)) continue;
          this.visited.add(key);
          next.push(successor);
        }
        if (this.visited.size >= this.statesMax) return this.result(depth, false, null, []);
      }
      frontier = next;
      depth += 1;
    }
    return this.result(depth, true, null, []);
  }

  private result(
    depth: number,
    exhausted: boolean,
    violation: string | null,
    story: readonly string[],
  ): Search {
    const { count, executed } = this.replicas;
    const states = this.visited.size;
    return { states, depth, exhausted, violation, story, replicaStates: count, steps: executed };
  }

  /** Everybody starts on an empty disk that may vote, and all goes well until all is quiet. */
  private settled(budget: Budget): World | string {
    let world: World = {
      replicas: [],
      links: Array.from({ length: 9 }, () => []),
      budget,
      shown: this.intern(new Shown([], 0, 0, [])),
      parent: null,
      what: '',
    };
    const states: State[] = [];
    for (const self of REPLICAS) {
      const step = this.replicas.start(self, EMPTY);
      states.push(step.state);
      world = { ...world, links: send(world.links, self, step) };
    }
    world = { ...world, replicas: states };
    for (let round = 0; round < SETTLING_ROUNDS_MAX; round += 1) {
      const todo = this.actions(world).find(
        ([, { type }]) => type === 'persist' || type === 'deliver',
      );
      if (todo === undefined) break;
      const next = this.take(world, todo[0], todo[1]);
      if ('violation' in next) return next.violation;
      world = { ...next, parent: null };
    }
    return { ...world, what: '' };
  }

  private *successors(world: World): Generator<World | Violated> {
    for (const [self, action] of this.actions(world)) yield this.take(world, self, action);
    if (world.budget.crashes > 0) {
      for (const self of REPLICAS) yield this.crash(world, self);
    }
  }

  private actions(world: World): (readonly [ReplicaId, Action])[] {
    const { budget } = world;
    const out: (readonly [ReplicaId, Action])[] = [];
    for (const self of REPLICAS) {
      if (at(world.replicas, self).pending.length > 0) out.push([self, { type: 'persist' }]);
    }
    for (const self of REPLICAS) {
      for (const from of REPLICAS) {
        for (const packet of at(world.links, from * 3 + self)) {
          out.push([self, { type: 'deliver', from, packet }]);
        }
      }
    }
    for (const self of REPLICAS) {
      // The two who are no home of the first lane are alike: one of them is enough.
      if (budget.appends > 0 && self < 2) out.push([self, { type: 'append', id: budget.appends }]);
      if (budget.heartbeats > 0 && self > 0) {
        out.push([self, { type: 'heartbeat', id: budget.heartbeats }]);
      }
      if (budget.timeouts > 0) out.push([self, { type: 'timeout' }]);
    }
    return out;
  }

  private take(world: World, self: ReplicaId, action: Action): World | Violated {
    const step = this.replicas.step(at(world.replicas, self), action);
    let { links, budget } = world;
    let shown = world.shown;
    const what = describe(self, action);
    if (action.type === 'deliver') links = remove(links, action.from * 3 + self, action.packet);
    if (action.type === 'append') budget = { ...budget, appends: budget.appends - 1 };
    if (action.type === 'timeout') budget = { ...budget, timeouts: budget.timeouts - 1 };
    if (action.type === 'heartbeat') {
      budget = { ...budget, heartbeats: budget.heartbeats - 1 };
      shown = shown.asked(action.id);
    }
    const replicas = world.replicas.map((state, i) => (i === self ? step.state : state));
    const judged = check(shown, replicas, at(world.replicas, self), step);
    if (typeof judged === 'string') return { violation: judged, what };
    links = send(links, self, step);
    return { replicas, links, budget, shown: this.intern(judged), parent: world, what };
  }

  private crash(world: World, self: ReplicaId): World | Violated {
    const { disk } = at(world.replicas, self);
    const what = `r${String(self)} dies and comes back`;
    const step = this.replicas.start(self, disk);
    if (step.violation !== null) return { violation: step.violation, what };
    return {
      replicas: world.replicas.map((state, i) => (i === self ? step.state : state)),
      links: send(world.links, self, step),
      budget: { ...world.budget, crashes: world.budget.crashes - 1 },
      shown: world.shown,
      parent: world,
      what,
    };
  }

  private intern(shown: Shown): Shown {
    const known = this.shown.get(shown.key);
    if (known !== undefined) return known;
    this.shown.set(shown.key, shown);
    return shown;
  }
}

interface Violated {
  readonly violation: string;
  readonly what: string;
}

function keyOf({ replicas, links, budget, shown }: World): string {
  const ids = replicas.map(({ id }) => id).join(' ');
  const { appends, heartbeats, crashes, timeouts } = budget;
  return `${ids}|${links.join('|')}|${appends} ${heartbeats} ${crashes} ${timeouts}|${shown.key}`;
}

function send(links: World['links'], self: ReplicaId, step: Step): World['links'] {
  const out = [...links];
  for (const { to, packet } of step.sent) {
    const link = self * 3 + to;
    const before = at(out, link);
    if (before.includes(packet)) continue;
    out[link] = [...before, packet].slice(-LINK_PACKETS_MAX);
  }
  return out;
}

function remove(links: World['links'], link: number, packet: number): World['links'] {
  return links.map((packets, i) => (i === link ? packets.filter((p) => p !== packet) : packets));
}

function describe(self: ReplicaId, action: Action): string {
  const name = `r${String(self)}`;
  if (action.type === 'deliver')
    return `${name} receives packet ${String(action.packet)} of r${String(action.from)}`;
  if (action.type === 'append') return `${name} is given record ${String(action.id)}`;
  if (action.type === 'heartbeat') return `${name} is asked for a read point`;
  return action.type === 'timeout' ? `${name} waits` : `${name} syncs`;
}

function storyOf(world: World | null): string[] {
  const story: string[] = [];
  for (let w = world; w !== null; w = w.parent) if (w.what !== '') story.unshift(w.what);
  return story;
}
