import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { encodeBatch, encodeControlBatch } from '../../libs/frames/batch.ts';
import type { BatchInput } from '../../libs/frames/batch.ts';
import { Ack, AppendRequestSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendRequest,
  AppendResponse,
  AppendRun,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { createOrderMachine } from '../../libs/order/machine.ts';
import type { Outcome } from '../../libs/order/types.ts';
import { at } from '../../libs/values/assert.ts';
import { seqNum, timestamp } from '../../libs/values/numbers.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { Admission } from './admission.ts';
import { AppendSession } from './append-session.ts';
import type { SessionContext } from './append-session.ts';
import type { PendingAppend } from './content.ts';
import { FakeStream } from './fake-streams.ts';
import { firstOutcome } from './sessions.ts';
import { HotFigures } from './hot-figures.ts';
import { Target } from './target.ts';

const SOURCE = 7;

class Bench {
  readonly stream = new FakeStream<AppendRequest, AppendResponse>();
  readonly submitted: PendingAppend[] = [];
  readonly admission: Admission;
  readonly session: AppendSession;
  readonly dirty: AppendSession[] = [];
  readonly registry = new Registry();
  readonly figures = new HotFigures(this.registry);
  known = false;
  retiredFrom = Infinity;
  forwardedVia = '';
  closed = 0;

  constructor(options: Partial<SessionContext> & { admissionBytes?: number } = {}) {
    this.admission = new Admission(options.admissionBytes ?? 1 << 20);
    this.session = new AppendSession(
      {
        target: new Target('c', 'i'),
        region: 'eu',
        limits: { batchBytesMax: 1000, recordsMax: 10 },
        windowBytes: 10_000,
        admission: this.admission,
        obstacle: () => null,
        submit: (append) => {
          this.submitted.push(append);
        },
        knownToOrder: () => this.known,
        firstOutcome: (_, outcome) => outcome,
        demandsToken: (stream) => stream === 'guarded',
        retiredFrom: () => this.retiredFrom,
        answered: (session) => {
          this.dirty.push(session);
        },
        latency: () => undefined,
        figures: this.figures,
        now: () => 0,
        forwardedVia: () => this.forwardedVia,
        closed: () => {
          this.closed += 1;
        },
        ...options,
      },
      this.stream,
      SOURCE,
    );
  }

  hello(ack = Ack.ORDERED, target = { cluster: 'c', instance: 'i' }): void {
    const message = { case: 'hello' as const, value: { target, ack } };
    this.stream.say(create(AppendRequestSchema, { message }));
  }

  append(...inputs: Partial<BatchInput>[]): void {
    const frames = inputs.map((input) =>
      encodeBatch({ stream: 's', records: [{ body: Buffer.from('x') }], ...input }),
    );
    this.send(Buffer.concat(frames));
  }

  send(frames: Uint8Array, minTimestamp = 0): void {
    const value = { frames, minTimestamp: BigInt(minTimestamp) };
    this.stream.say(create(AppendRequestSchema, { message: { case: 'batches', value } }));
  }

  flush(): void {
    for (const session of this.dirty.splice(0)) session.flush();
  }

  commit(from: number, to: number, time: number): void {
    const outcome = placed(time, 0);
    for (const append of this.submitted.slice(from, to)) this.session.committed(append, outcome);
  }

  /** As the releaser does: numbers of one stream, one after the other. */
  release(from: number, to: number, time: number, first: number): void {
    let next = first;
    for (const append of this.submitted.slice(from, to)) {
      this.session.decided(append, placed(time, next));
      next += append.header.recordCount;
    }
  }

  runs(): AppendRun[] {
    return this.stream
      .take()
      .flatMap(({ message }) => (message.case === 'outcomes' ? message.value.runs : []));
  }
}

function placed(time: number, first: number): Outcome {
  return { kind: 'appended', timestamp: timestamp(time), firstSeqNum: seqNum(first) };
}

const brief = (run: AppendRun): (number | string | boolean)[] => [
  run.count,
  Number(run.timestamp),
  Number(run.firstSeqNum),
  run.failure?.reason ?? run.duplicate,
];

describe('append session', () => {
  it('welcomes with its window and limits', () => {
    const bench = new Bench();
    bench.hello();
    const [welcome] = bench.stream.take();
    expect(welcome?.message).toMatchObject({
      case: 'welcome',
      value: { windowBytes: 10_000n, batchBytesMax: 1000, region: 'eu' },
    });
  });

  it.each([
    ['another cluster', { cluster: 'x', instance: 'i' }],
    ['another instance', { cluster: 'c', instance: 'x' }],
  ])('refuses a session meant for %s', (_name, target) => {
    const bench = new Bench();
    bench.hello(Ack.ORDERED, target);
    expect(bench.stream.reason).toBe('WRONG_TARGET');
    bench.append({});
    expect(bench.submitted).toEqual([]);
  });

  /**
   * Found by the simulation of the whole system (seed 24): an append took effect, its answer was lost, and another process
   * took over the writer's name before it was asked for again. The order refuses whatever a fenced writer sends, and its
   * client was told WRITER_FENCED: certainly without effect.
   */
  it('answers what a fenced writer asks for again with the first outcome, where there is one', () => {
    const order = createOrderMachine();
    const bench = new Bench({
      firstOutcome: (append, outcome) => firstOutcome(order, append, outcome),
    });
    const writer = (epoch: number, seq: number): Partial<BatchInput> => ({
      writer: { id: 'w', epoch, seq, previous: seq - 1 },
    });
    bench.hello();
    bench.append(writer(1, 1), { ...writer(1, 2), matchSeqNum: 7 }, writer(2, 3));
    bench.append(writer(1, 1), { ...writer(1, 2), matchSeqNum: 7 }, writer(1, 3));
    bench.submitted.forEach((append, i) => {
      bench.session.decided(append, order.apply(append.header, timestamp(100 + 8 * i)));
    });
    bench.flush();
    expect(bench.runs().slice(3).map(brief)).toEqual([
      [1, 100, 0, true],
      [1, 0, 0, 'CONDITION_FAILED'],
      [1, 0, 0, 'WRITER_FENCED'],
    ]);
  });

  it('refuses batches before the hello, and a second hello', () => {
    const first = new Bench();
    first.append({});
    expect(first.stream.reason).toBe('INVALID');
    const second = new Bench();
    second.hello();
    second.hello();
    expect(second.stream.reason).toBe('INVALID');
  });

  it('answers an entry full of ORDERED appends at its release, as one run', () => {
    const bench = new Bench();
    bench.hello();
    bench.stream.take();
    bench.append({}, {}, {});
    bench.commit(0, 3, 80);
    bench.flush();
    expect(bench.runs()).toEqual([]);
    bench.release(0, 3, 80, 40);
    bench.flush();
    expect(bench.runs().map(brief)).toEqual([[3, 80, 40, false]]);
    expect(bench.admission.bytes).toBe(0);
  });

  it('answers QUORUM appends at their commitment, without numbers, and once', () => {
    const bench = new Bench();
    bench.hello(Ack.QUORUM);
    bench.stream.take();
    bench.append({}, {});
    bench.commit(0, 2, 80);
    bench.flush();
    expect(bench.runs().map(brief)).toEqual([[2, 80, 0, false]]);
    expect(bench.admission.bytes).toBeGreaterThan(0);
    bench.release(0, 2, 80, 5);
    bench.flush();
    expect(bench.runs()).toEqual([]);
    expect(bench.admission.bytes).toBe(0);
  });

  it('lets a condition in a QUORUM session wait for the order, and everything behind it', () => {
    const bench = new Bench();
    bench.hello(Ack.QUORUM);
    bench.stream.take();
    bench.append({}, { matchSeqNum: 3 }, {});
    bench.commit(0, 3, 80);
    bench.flush();
    expect(bench.runs().map(brief)).toEqual([[1, 80, 0, false]]);
    const conditional = at(bench.submitted, 1);
    bench.session.decided(conditional, {
      kind: 'failed',
      failure: { reason: 'CONDITION_FAILED', condition: 'matchSeqNum', expected: 3, actual: 9 },
    });
    bench.flush();
    const runs = bench.runs();
    expect(runs.map(brief)).toEqual([
      [1, 0, 0, 'CONDITION_FAILED'],
      [1, 80, 0, false],
    ]);
    expect(runs[0]?.failure).toMatchObject({
      noEffect: true,
      details: { expected: '3', actual: '9' },
    });
  });

  it('lets what the order may refuse wait for it: a demanded token, a stream that must exist', () => {
    for (const wish of [{ stream: 'guarded' }, { mustExist: true }, { fencingToken: 1 }]) {
      const bench = new Bench();
      bench.hello(Ack.QUORUM);
      bench.stream.take();
      bench.append(wish);
      bench.commit(0, 1, 80);
      bench.flush();
      expect(bench.runs()).toEqual([]);
      bench.release(0, 1, 80, 4);
      bench.flush();
      expect(bench.runs().map(brief)).toEqual([[1, 80, 4, false]]);
    }
  });

  it('lets a QUORUM append behind the end of a retired instance wait for the order, not one before it', () => {
    const bench = new Bench();
    bench.hello(Ack.QUORUM);
    bench.stream.take();
    bench.append({}, {});
    bench.retiredFrom = 80;
    bench.commit(0, 1, 80);
    bench.commit(1, 2, 81);
    bench.flush();
    expect(bench.runs().map(brief)).toEqual([[1, 80, 0, false]]);
  });

  it('takes no control action, and answers what stood before it', () => {
    const bench = new Bench();
    bench.hello();
    bench.stream.take();
    bench.append({});
    const control = { requestId: '', notAfter: 0, action: { kind: 'delete' } } as const;
    bench.send(encodeControlBatch({ stream: 's', control }));
    expect(bench.submitted.length).toBe(1);
    bench.release(0, 1, 80, 0);
    bench.flush();
    expect(bench.runs().length).toBe(1);
    expect(bench.stream.reason).toBe('INVALID');
  });

  it('lets a retry that the order knows wait for its first outcome', () => {
    const bench = new Bench();
    bench.known = true;
    bench.hello(Ack.QUORUM);
    bench.stream.take();
    bench.append({ writer: { id: 'w', epoch: 1, seq: 5, previous: 4 } });
    bench.commit(0, 1, 160);
    bench.flush();
    expect(bench.runs()).toEqual([]);
    const first = { kind: 'appended' as const, timestamp: timestamp(80), firstSeqNum: seqNum(7) };
    bench.session.decided(at(bench.submitted, 0), { kind: 'duplicate', first });
    bench.flush();
    expect(bench.runs().map(brief)).toEqual([[1, 80, 7, true]]);
  });

  it('names the region that forwards between this replica and the third, as long as one does', () => {
    const bench = new Bench();
    bench.hello(Ack.ORDERED);
    bench.append({}, {});
    bench.forwardedVia = 'us';
    bench.release(0, 1, 5, 0);
    bench.flush();
    bench.forwardedVia = '';
    bench.release(1, 2, 6, 1);
    bench.flush();
    expect(bench.runs().map((run) => run.forwardedVia)).toEqual(['us', '']);
  });

  it('starts a new run where the stream, the entry or the numbering changes', () => {
    const bench = new Bench();
    bench.hello();
    bench.stream.take();
    bench.append({}, {}, { stream: 'other' }, {});
    const [a, b, c, d] = bench.submitted;
    const outcomes: [PendingAppend | undefined, Outcome][] = [
      [a, placed(80, 1)],
      [b, placed(80, 5)],
      [c, placed(80, 6)],
      [d, placed(88, 6)],
    ];
    for (const [append, outcome] of outcomes) {
      if (append !== undefined) bench.session.decided(append, outcome);
    }
    bench.flush();
    expect(bench.runs().map(brief)).toEqual([
      [1, 80, 1, false],
      [1, 80, 5, false],
      [1, 80, 6, false],
      [1, 88, 6, false],
    ]);
  });

  it('answers what stands before a malformed batch, then fails, and submits nothing behind it', () => {
    const bench = new Bench();
    bench.hello();
    bench.stream.take();
    bench.append({});
    const damaged = encodeBatch({ stream: 's', records: [{ body: Buffer.from('y') }] });
    damaged[damaged.length - 1] = 0;
    bench.send(damaged);
    bench.append({});
    expect(bench.submitted.length).toBe(1);
    expect(bench.stream.ended).toBeNull();
    bench.release(0, 1, 80, 0);
    bench.flush();
    expect(bench.runs().length).toBe(1);
    expect(bench.stream.reason).toBe('INVALID');
    expect(bench.closed).toBe(1);
  });

  it('refuses a batch above the limit, with its size and the limit', () => {
    const bench = new Bench();
    bench.hello();
    bench.append({ records: [{ body: Buffer.alloc(2000) }] });
    expect(bench.stream.reason).toBe('TOO_LARGE');
    expect(bench.stream.ended).toMatchObject({ details: { limit: '1000' } });
  });

  it('ends at a refusal of the lane: nothing behind it is answered or waited for', () => {
    const bench = new Bench();
    bench.hello();
    bench.stream.take();
    bench.append({}, {}, {});
    bench.session.refused(at(bench.submitted, 1), 'CLOCK_UNSAFE');
    bench.session.refused(at(bench.submitted, 2), 'CLOCK_UNSAFE');
    bench.append({});
    expect(bench.submitted.length).toBe(3);
    bench.release(0, 1, 80, 0);
    bench.flush();
    expect(bench.runs().map(brief)).toEqual([[1, 80, 0, false]]);
    expect(bench.stream.reason).toBe('CLOCK_UNSAFE');
    expect(bench.admission.bytes).toBe(0);
  });

  it('never lets a wish for a timestamp fall, so that a refusal hits everything behind it', () => {
    const bench = new Bench();
    bench.hello();
    const frame = encodeBatch({ stream: 's', records: [{ body: Buffer.from('x') }] });
    bench.send(frame, 500);
    bench.send(frame, 0);
    expect(bench.submitted.map((append) => append.minTimestamp)).toEqual([500, 500]);
  });

  it('shares the lane with other sessions as the source that it is', () => {
    const bench = new Bench();
    bench.hello();
    bench.append({}, {});
    expect(bench.submitted.map((append) => append.source)).toEqual([SOURCE, SOURCE]);
  });

  it('finds room for the only append of a session where those with more are refused', () => {
    const admission = new Admission(1000);
    expect(admission.take(900, 0)).toBeNull();
    const busy = new Bench({ admission });
    busy.hello();
    busy.append({});
    expect(busy.stream.reason).not.toBe('OVERLOADED');
    busy.append({});
    expect(busy.submitted).toHaveLength(1);
    busy.release(0, 1, 80, 0);
    busy.flush();
    expect(busy.stream.reason).toBe('OVERLOADED');
  });

  it('holds a client to its window and the replica to its own bound', () => {
    const small = new Bench({ windowBytes: 100 });
    small.hello();
    small.append({}, {}, {}, {});
    expect(small.submitted.length).toBeGreaterThan(0);
    small.release(0, small.submitted.length, 80, 0);
    small.flush();
    expect(small.stream.reason).toBe('OVERLOADED');
    const full = new Bench({ admissionBytes: 10 });
    full.hello();
    full.append({});
    expect(full.stream.reason).toBe('OVERLOADED');
    expect(full.admission.bytes).toBe(0);
  });

  it('leaks nothing when the client has gone', () => {
    const bench = new Bench();
    bench.hello();
    bench.append({}, {});
    bench.stream.hangUp();
    expect(bench.closed).toBe(1);
    bench.release(0, 2, 80, 0);
    bench.flush();
    expect(bench.admission.bytes).toBe(0);
  });

  it('ends well after the last answer when the client says that it is done', () => {
    const bench = new Bench();
    bench.hello();
    bench.append({});
    bench.stream.halfClose();
    expect(bench.stream.ended).toBeNull();
    bench.release(0, 1, 80, 0);
    bench.flush();
    expect(bench.stream.ended).toBe('well');
  });

  it('leaves the unanswered unknown when it is abandoned', () => {
    const waiting = new Bench();
    waiting.hello();
    waiting.append({});
    waiting.session.abandon('gone');
    expect(waiting.stream.reason).toBe('INDEFINITE');
    const idle = new Bench();
    idle.hello();
    idle.session.abandon('gone');
    expect(idle.stream.reason).toBe('UNAVAILABLE');
  });
});
