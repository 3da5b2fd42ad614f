/**
 * A steady stream of appends through one region, for tests of faults: what was answered when, by
 * which path, and the longest time without an answer. In the bare protocol, so nothing is retried:
 * a failed append is seen.
 */
import { Ack } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { RawSession, batchOf } from './cluster.ts';

export interface LoadOptions {
  readonly stream?: string;
  readonly ack?: Ack;
  readonly bytes?: number;
  readonly perSecond?: number;
  /** Appends that may be unanswered; beyond, the load waits, and the wait shows as a gap. */
  readonly inflightMax?: number;
}

interface Answer {
  readonly at: number;
  readonly latencyMs: number;
  readonly forwardedVia: string;
}

const SLICE_MS = 10;

export class Load {
  readonly answers: Answer[] = [];
  /** Bodies that were acknowledged. */
  readonly bodies: string[] = [];
  /** Why the session ended, or what an append failed with; empty as long as all is well. */
  readonly failures: string[] = [];
  readonly #session: RawSession;
  readonly #options: Required<LoadOptions>;
  readonly #name: string;
  readonly #sentAt: number[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #startedAt = performance.now();
  #runs = 0;
  #due = 0;
  #onIdle: () => void = () => undefined;

  constructor(channel: Channel, name: string, options: LoadOptions = {}) {
    const all = { stream: name, ack: Ack.QUORUM, bytes: 1024, perSecond: 100, inflightMax: 500 };
    this.#options = { ...all, ...options };
    this.#name = name;
    this.#session = new RawSession(channel, this.#options.ack);
    this.#session.onAnswer = () => {
      this.#take();
    };
    void this.#session.ended.then((error) => {
      if (!this.#stopping) this.failures.push(`session ended: ${error?.reason ?? 'well'}`);
      this.#onIdle();
    });
    this.#timer = setInterval(() => {
      this.#send();
    }, SLICE_MS);
  }

  #stopping = false;

  get count(): number {
    return this.answers.length;
  }

  /** Longest time without an answer between the two moments, ms; a standstill at the end counts. */
  longestGapMs(from: number, to = performance.now()): number {
    const times = this.answers.map(({ at }) => at).filter((at) => at > from && at < to);
    return Math.max(...[...times, to].map((at, i) => at - (times[i - 1] ?? from)));
  }

  /** Of the answers since then: `share` of them took no longer than this, ms. */
  latencyMs(share: number, from = 0, to = Infinity): number {
    const all = this.answers.filter(({ at }) => at >= from && at <= to);
    const sorted = all.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  }

  /** The last answer's path: the region that forwarded, empty for none. */
  get lastPath(): string {
    return this.answers.at(-1)?.forwardedVia ?? '';
  }

  /** Ends well once everything is answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#sentAt.length > this.count && this.failures.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#stopping = true;
    this.#session.end();
  }

  #send(): void {
    const { perSecond, inflightMax, stream, bytes } = this.#options;
    const elapsed = performance.now() - this.#startedAt;
    const due = Math.floor((elapsed / 1000) * perSecond);
    const room = inflightMax - (this.#sentAt.length - this.count);
    // What could not be sent in time is not made up for.
    const wanted = Math.min(due - this.#due, room, perSecond);
    this.#due = due;
    if (wanted <= 0 || this.failures.length > 0) return;
    const frames: Uint8Array[] = [];
    for (let i = 0; i < wanted; i += 1) {
      const body = `${this.#name}-${this.#sentAt.length}`;
      frames.push(batchOf(stream, body.padEnd(bytes, ' ')));
      this.#sentAt.push(performance.now());
    }
    this.#session.sendFrames(Buffer.concat(frames));
  }

  #take(): void {
    const { runs } = this.#session;
    const at = performance.now();
    for (; this.#runs < runs.length; this.#runs += 1) {
      const run = runs[this.#runs];
      if (run === undefined) break;
      if (run.failure !== undefined) this.failures.push(run.failure.reason);
      for (let i = 0; i < run.count; i += 1) {
        const number = this.count;
        this.bodies.push(`${this.#name}-${number}`);
        const latencyMs = at - (this.#sentAt[number] ?? at);
        this.answers.push({ at, latencyMs, forwardedVia: run.forwardedVia });
      }
    }
    if (this.count === this.#sentAt.length) this.#onIdle();
  }
}
