import { Metadata, status as grpcStatus } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import type { MeridianError } from '../errors/errors.ts';
import { fromStatus } from './status.ts';

function failed(code: grpcStatus, details: string): MeridianError {
  const context = { address: 'h:1' };
  return fromStatus({ code, details, metadata: new Metadata() }, context);
}

describe('a call that grpc-js itself gave up', () => {
  it('because nobody listens says so in a sentence, and certainly had no effect', () => {
    const words =
      'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:9. Resolution note: ';
    expect(failed(grpcStatus.UNAVAILABLE, words)).toMatchObject({
      reason: 'UNAVAILABLE',
      noEffect: true,
      message: 'h:1: no connection: connect ECONNREFUSED 127.0.0.1:9',
    });
    const dated =
      'No connection established. Last error: Protocol error (2026-11-22T08:04:53.457Z). Resolution note: old';
    expect(failed(grpcStatus.UNAVAILABLE, dated).message).toBe(
      'h:1: no connection: Protocol error (old)',
    );
  });

  it('before it had a connection certainly had no effect', () => {
    for (const phase of [
      'metadata filters: 0.001s,Waiting for LB pick',
      'name resolution: 0.001s,waiting for metadata filters',
      'waiting for name resolution',
    ]) {
      expect(
        failed(grpcStatus.DEADLINE_EXCEEDED, `Deadline exceeded after 1.002s,${phase}`),
      ).toMatchObject({
        reason: 'UNAVAILABLE',
        noEffect: true,
        message: 'h:1: no connection within 1.002s',
      });
    }
  });

  it('while it was on its way may have taken effect', () => {
    const words =
      'Deadline exceeded after 2.001s,metadata filters: 0.001s,LB pick: 0.001s,remote_addr=127.0.0.1:9';
    expect(failed(grpcStatus.DEADLINE_EXCEEDED, words)).toMatchObject({
      reason: 'DEADLINE',
      noEffect: false,
      message: 'h:1: no answer within 2.001s',
    });
  });

  it('for another reason says it in the words it came with', () => {
    expect(failed(grpcStatus.UNAVAILABLE, 'Connection dropped')).toMatchObject({
      reason: 'INDEFINITE',
      message: 'h:1: UNAVAILABLE: Connection dropped',
    });
  });
});
