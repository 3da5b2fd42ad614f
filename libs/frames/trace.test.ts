import { describe, expect, it } from 'vitest';
import { decodeRecords, encodeBatch, verifyBatch } from './batch.ts';
import type { BatchInput } from './batch.ts';
import { TRACE_CONTEXT_BYTES, traceOf } from './trace.ts';

const trace = Uint8Array.from({ length: TRACE_CONTEXT_BYTES }, (_unused, i) => i + 1);
const batch: BatchInput = { stream: 's', records: [{ body: Buffer.from('x') }] };
const writer = { id: 'w', epoch: 1, seq: 2, previous: 1 };

describe('the trace context of a batch', () => {
  it.each<[string, Partial<BatchInput>]>([
    ['alone', {}],
    ['with a writer', { writer }],
    ['with conditions', { matchSeqNum: 3, fencingToken: 4, mustExist: true }],
    ['with both', { writer, matchSeqNum: 3, fencingToken: 4 }],
  ])('is found again %s, and leaves the records as they are', (_name, more) => {
    const frame = encodeBatch({ ...batch, ...more, trace });
    expect(traceOf(frame)).toEqual(Buffer.from(trace));
    expect(verifyBatch(frame).recordCount).toBe(1);
    expect(decodeRecords(frame).map(({ body }) => Buffer.from(body).toString())).toEqual(['x']);
    const before = Buffer.alloc(7);
    expect(traceOf(Buffer.concat([before, frame]), before.length)).toEqual(Buffer.from(trace));
    expect(traceOf(encodeBatch({ ...batch, ...more }))).toBeNull();
  });

  it('has a fixed length', () => {
    expect(() => encodeBatch({ ...batch, trace: trace.subarray(1) })).toThrow();
  });
});
