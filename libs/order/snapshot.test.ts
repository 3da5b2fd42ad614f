import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import type { ControlAction } from '../frames/control.ts';
import { seqNum, timestamp } from '../values/numbers.ts';
import { createOrderMachine, restoreOrderMachine } from './machine.ts';
import type { HashedOrderMachine } from './machine.ts';
import { CHUNK_BYTES } from './snapshot.ts';
import type { BatchHeader } from './types.ts';

const SMALL = {
  writersMax: 4,
  outcomesPerWriter: 8,
  outcomesMax: 32,
  writerAgeMaxMicros: 200,
  actionsMax: 10,
  actionAgeMaxMicros: 250,
};

const anyAction: fc.Arbitrary<BatchHeader> = fc
  .record({
    stream: fc.constantFrom('s', 't', 'u'),
    isRepeatable: fc.boolean(),
    action: fc.constantFrom<ControlAction>(
      { kind: 'create', config: { fencing: null } },
      { kind: 'create', config: { fencing: 'required' } },
      { kind: 'configure', config: { fencing: 'none' } },
      { kind: 'delete' },
      { kind: 'fence', token: null, expected: null },
      { kind: 'trim', before: 1 },
      { kind: 'acquire', holder: 'x', ttlMicros: 20 },
      { kind: 'acquire', holder: 'y', ttlMicros: 20 },
      { kind: 'renew', holder: 'x', token: 1, ttlMicros: 20 },
    ),
  })
  .map(({ stream, isRepeatable, action }) => ({
    stream,
    recordCount: 0,
    writer: null,
    matchSeqNum: null,
    fencingToken: null,
    control: { requestId: isRepeatable ? stream + action.kind : '', notAfter: 0, action },
  }));
const anyAppend: fc.Arbitrary<BatchHeader> = fc.record({
  stream: fc.constantFrom('s', 't', 'ü'),
  recordCount: fc.integer({ min: 1, max: 3 }),
  writer: fc.option(
    fc
      .record({
        id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
        epoch: fc.integer({ min: 1, max: 2 }),
        previous: fc.nat(9),
      })
      .map((writer) => ({ ...writer, seq: writer.previous + 1 })),
    { freq: 9 },
  ),
  matchSeqNum: fc.option(fc.nat(8).map(seqNum), { freq: 2 }),
  fencingToken: fc.option(fc.constantFrom(0, 0, 5), { freq: 2 }),
  checksum: fc.nat(),
});
const anyBatch = fc.oneof({ weight: 3, arbitrary: anyAppend }, { weight: 2, arbitrary: anyAction });
const anyLog = fc.array(fc.tuple(anyBatch, fc.integer({ min: 0, max: 8 })), {
  minLength: 20,
  maxLength: 120,
});

/** The writers' chains go on, and are repeated, more often than chance would have it. */
function chained(machine: HashedOrderMachine, header: BatchHeader): BatchHeader {
  const { writer } = header;
  if (writer === null || writer.previous > 7) return header;
  const { epoch: current, lastSeq } = machine.writer(writer.id) ?? { epoch: 1, lastSeq: 0 };
  const epoch = writer.previous === 7 ? current + 1 : current;
  const back = writer.previous < 3 ? Math.min(writer.previous, lastSeq - 1) : -1;
  const seq = back >= 0 ? lastSeq - back : lastSeq + 1;
  return { ...header, writer: { ...writer, epoch, seq, previous: seq - 1 } };
}

function bytesOf(machine: HashedOrderMachine): Buffer {
  return Buffer.concat([...machine.snapshot()]);
}

function filled(streams: number, writers: number, outcomes: number): HashedOrderMachine {
  const machine = createOrderMachine();
  let at = 1_000_000;
  const none = { matchSeqNum: null, fencingToken: null };
  for (let i = 0; i < streams; i += 1) {
    const header = { stream: `stream-${i}`, recordCount: 1, writer: null, ...none };
    machine.apply(header, timestamp((at += 1)));
  }
  for (let i = 0; i < writers; i += 1) {
    for (let seq = 1; seq <= outcomes; seq += 1) {
      const writer = { id: `w${i}`, epoch: 1, seq, previous: seq - 1 };
      const header = { stream: 's', recordCount: 1, writer, ...none };
      const fails = seq % 3 === 0 ? { matchSeqNum: seqNum(1) } : {};
      machine.apply({ ...header, ...fails }, timestamp((at += 1)));
    }
  }
  return machine;
}

describe('a snapshot', () => {
  it('P1: gives a machine with the same hash, the same bytes and the same answers ever after', () => {
    let duplicates = 0;
    let failures = 0;
    let again = 0;
    let leases = 0;
    fc.assert(
      fc.property(anyLog, fc.nat(), (log, where) => {
        const machine = createOrderMachine(SMALL);
        const cut = log.length === 0 ? 0 : where % log.length;
        let at = 1;
        for (const [header, step] of log.slice(0, cut)) {
          machine.apply(chained(machine, header), timestamp((at += step)));
        }
        const restored = restoreOrderMachine(machine.snapshot(), SMALL);
        expect(restored.hash()).toBe(machine.hash());
        expect(restored.applied).toBe(machine.applied);
        expect(restored.timestamp).toBe(machine.timestamp);
        expect(bytesOf(restored).equals(bytesOf(machine))).toBe(true);
        for (const [wish, step] of log.slice(cut)) {
          const header = chained(machine, wish);
          at += step;
          const outcome = machine.apply(header, timestamp(at));
          expect(restored.apply(header, timestamp(at))).toEqual(outcome);
          expect(restored.outcomeSlots).toBe(machine.outcomeSlots);
          if (outcome.kind === 'duplicate') {
            if (header.control == null) duplicates += 1;
            else again += 1;
          }
          if (outcome.kind === 'failed') failures += 1;
        }
        expect(bytesOf(restored).equals(bytesOf(machine))).toBe(true);
        for (const id of ['a', 'b', 'c']) {
          for (let seq = 1; seq < 12; seq += 2) {
            for (const epoch of [1, 2, 3]) {
              const append = { id, epoch, seq };
              expect(restored.resolve(append)).toEqual(machine.resolve(append));
            }
          }
        }
        if (machine.stream('s')?.lease) leases += 1;
        const all = { prefix: '', after: null, limit: 10 };
        expect(restored.streams(all)).toEqual(machine.streams(all));
        expect(restored.streamCount).toBe(machine.streamCount);
      }),
      { numRuns: 200 },
    );
    // Otherwise nothing of the writer table would have been seen.
    expect(duplicates).toBeGreaterThan(50);
    expect(failures).toBeGreaterThan(100);
    expect(again).toBeGreaterThan(30);
    expect(leases).toBeGreaterThan(20);
  });

  it('P2: comes in chunks of bounded size, whatever there is', () => {
    const machine = filled(3000, 20, 3000);
    const chunks = [...machine.snapshot()];
    expect(chunks.length).toBeGreaterThan(20);
    for (const chunk of chunks) expect(chunk.length).toBeLessThanOrEqual(CHUNK_BYTES);
    const restored = restoreOrderMachine(chunks);
    expect(restored.hash()).toBe(machine.hash());
    expect(bytesOf(restored).equals(Buffer.concat(chunks))).toBe(true);
  });

  it('P3: is CORRUPT when a bit is wrong, a chunk is missing, repeated, moved or of another one', () => {
    const chunks = [...filled(2000, 2, 500).snapshot()];
    const others = [...filled(2000, 2, 501).snapshot()];
    const refused = (damaged: Iterable<Uint8Array>): void => {
      let error: unknown = null;
      try {
        restoreOrderMachine(damaged);
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(MeridianError);
      expect(error).toMatchObject({ reason: 'CORRUPT' });
    };
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 0, max: 7 }), (chunk, byte, bit) => {
        const i = chunk % chunks.length;
        const damaged = Buffer.from(chunks[i] ?? []);
        const place = byte % damaged.length;
        damaged.writeUInt8(damaged.readUInt8(place) ^ (1 << bit), place);
        refused(chunks.with(i, damaged));
      }),
      { numRuns: 200 },
    );
    for (let i = 0; i < chunks.length; i += 1) {
      refused(chunks.toSpliced(i, 1));
      refused(chunks.slice(0, i));
      refused(chunks.toSpliced(i, 0, chunks[i] ?? Buffer.alloc(0)));
      refused(chunks.with(i, others[i] ?? Buffer.alloc(0)));
      refused(chunks.with(i, (chunks[i] ?? Buffer.alloc(0)).subarray(0, 40)));
      refused(chunks.with(i, Buffer.alloc(0)));
    }
    refused([]);
    refused([...chunks, ...chunks]);
  });

  it('P4: carries its bounds, and refuses to go on with others', () => {
    const machine = createOrderMachine(SMALL);
    const restored = restoreOrderMachine(machine.snapshot());
    expect(() => restoreOrderMachine(restored.snapshot(), SMALL)).not.toThrow();
    expect(() => restoreOrderMachine(machine.snapshot(), { ...SMALL, writersMax: 5 })).toThrow(
      'writersMax is 5, but 4 in the snapshot',
    );
  });

  it('P5: is not taken across an append', () => {
    const machine = filled(4000, 0, 0);
    const chunks = machine.snapshot();
    chunks.next();
    const none = { writer: null, matchSeqNum: null, fencingToken: null };
    machine.apply({ stream: 's', recordCount: 1, ...none }, timestamp(9_000_000));
    expect(() => chunks.next()).toThrow('nothing is applied while a snapshot is taken');
  });
});
