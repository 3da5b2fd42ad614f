/**
 * What happened in a run, as numbers: always folded into a hash (the same seed must give the same
 * one), and printed a line each when somebody wants to read it. `text` adds lines that only a
 * reader needs; they are not part of the hash.
 */
const LINES = {
  start: (a: number, b: number) => `start life ${a} voting ${b === 1}`,
  crash: (a: number, b: number) => `crash life ${a}, ${b} staged writes survive`,
  wipe: () => `disk wiped`,
  putBack: (a: number, b: number) => `disk put back to incarnation ${a}, reservation ${b}`,
  checkpoint: (a: number, b: number) => `takes a checkpoint of ${a} entries, watermark ${b}`,
  trim: (a: number) => `old log goes, up to ${a} entries`,
  transfer: (a: number, b: number) => `transfer of a checkpoint from r${a}, ${b} entries`,
  drift: (a: number) => `memory damaged after ${a} entries`,
  wrong: (a: number) => `finds itself wrong from ${a} entries on`,
  pause: () => `pause`,
  resume: (a: number) => `resume with ${a} inputs waiting`,
  clock: (a: number, b: number) => `wall clock off by ${a} µs, drift ${b} ppm`,
  disk: (a: number) => `syncs take ${a} times as long`,
  link: (a: number, b: number, c: number) =>
    `link to r${a}: ${linkState(b)}${c > 1 ? ` ×${c}` : ''}`,
  connected: (a: number) => `connected to r${a}`,
  step: (a: number, b: number, c: number, d: number) =>
    `step ${a} inputs: ${b} writes, ${c} packets, watermark ${d}`,
  entry: (a: number, b: number, c: number, d: number) =>
    `stage entry lane ${a} index ${b} epoch ${c} ts ${d}`,
  truncate: (a: number, b: number) => `stage truncate lane ${a} from ${b}`,
  promise: (a: number, b: number) => `stage promise lane ${a} epoch ${b}`,
  reserve: (a: number) => `stage reserve ${a}`,
  incarnation: (a: number, b: number) => `stage r${a} is incarnation ${b}`,
  life: (a: number, b: number, c: number) => `stage r${a} lives life ${b}, clock ${c}`,
  named: (a: number, b: number) => `stage r${a} goes by own life ${b}`,
  recovered: () => `stage recovered: votes again`,
  synced: (a: number) => `synced seq ${a}`,
  send: (a: number, b: number, c: number, d: number) =>
    `send to r${a}: ${b} feeds, ${c} letters, version ${d}`,
  receive: (a: number, b: number) => `receive from r${a}, version ${b}`,
  ack: (a: number, b: number, c: number, d: number) =>
    `acknowledge lane ${a} index ${b} ts ${c}, ${d} appends`,
  release: (a: number, b: number, c: number, d: number) =>
    `release lane ${a} index ${b} ts ${c} as number ${d}`,
  outcome: (a: number, b: number, c: number) => `operation ${a} outcome ${b} (${c})`,
  refuse: (a: number, b: number) => `refuse operation ${a} (reason ${b})`,
  readPoint: (a: number, b: number) => `heartbeat ${a} answered: read point ${b}`,
  read: (a: number, b: number, c: number) => `read ${a} sees ${b} entries, tail ${c}`,
  invoke: (a: number, b: number, c: number) => `client ${a} sends operation ${b} min ts ${c}`,
  invokeRead: (a: number, b: number) => `client ${a} sends read ${b}`,
  done: (a: number, b: number, c: number) => `client ${a} has operation ${b}: ${c}`,
  heal: () => `all faults end`,
  crossbar: (a: number) => (a === 1 ? `crossbar starts` : `crossbar dies`),
  applier: (a: number) => `applier starts, life ${a}`,
  mergedRead: (a: number, b: number) => `linearizable read shows ${a} batches, watermark ${b}`,
  space: (a: number) => `its disk has ${['no', 'little', 'ample'][a] ?? '?'} room`,
  user: (a: number) => `user starts, life ${a}`,
  told: (a: number, b: number) => (b === 0 ? `wish ${a} failed` : `wish ${a} is told ${b}`),
  manifest: (a: number, b: number) => `manifest ${b} names everything up to entry ${a}`,
} as const;

export type TraceKind = keyof typeof LINES;

const KINDS = new Map(Object.keys(LINES).map((kind, number) => [kind, number + 1]));

export class Trace {
  /** null: only the hash. */
  readonly print: ((line: string) => void) | null;
  private readonly time: { readonly now: number };
  private low = 0x811c9dc5;
  private high = 0x1b873593;

  constructor(time: { readonly now: number }, print: ((line: string) => void) | null) {
    this.time = time;
    this.print = print;
  }

  note(kind: TraceKind, who: number, a = 0, b = 0, c = 0, d = 0): void {
    this.fold(KINDS.get(kind) ?? 0);
    this.fold(this.time.now);
    this.fold(who);
    this.fold(a);
    this.fold(b);
    this.fold(c);
    this.fold(d);
    if (this.print !== null) {
      const line: (a: number, b: number, c: number, d: number) => string = LINES[kind];
      this.text(who, line(a, b, c, d));
    }
  }

  text(who: number, text: string): void {
    if (this.print === null) return;
    const seconds = (this.time.now / 1e6).toFixed(6);
    this.print(`t=${seconds} ${who < 0 ? 'all' : `r${who}`} ${text}`);
  }

  hash(): string {
    const word = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
    return word(this.high) + word(this.low);
  }

  private fold(value: number): void {
    const small = value >= 0 && value < 0x1_0000_0000;
    const above = small ? 0 : Math.imul(Math.floor(value / 0x1_0000_0000), 0x9e3779b1);
    const word = (value ^ above) | 0;
    this.low = Math.imul(this.low ^ word, 0x01000193);
    this.low ^= this.low >>> 15;
    this.high = (Math.imul(this.high ^ this.low, 0x85ebca6b) + word) | 0;
  }
}

function linkState(code: number): string {
  return ['up', 'cut', 'clogged', 'slow', 'reset'][code] ?? '?';
}
