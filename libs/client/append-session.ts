/**
 * One append session on one replica, as bytes and callbacks: hello and welcome, batches out,
 * outcomes in. Knows nothing of retries, writers or other replicas (appender.ts).
 */
import { create } from '@bufbuild/protobuf';
import { MeridianError } from '../errors/errors.ts';
import { Ack, AppendRequestSchema, JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { AppendRun, AppendWelcome } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { DuplexStream } from '../rpc/rpc.ts';
import type { Replica, Target } from './replicas.ts';
import type { AckMode } from './types.ts';

export interface SessionEvents {
  onWelcome(welcome: AppendWelcome): void;
  onRuns(runs: readonly AppendRun[]): void;
  /** There is room again after `hasRoom` was false. */
  onRoom(): void;
  /** Once, unless cancelled. */
  onEnd(error: MeridianError): void;
}

/** Messages that may wait in this process; beyond, batches wait for a fuller message. */
const QUEUED_MAX = 8;

export class AppendSession {
  readonly replica: Replica;
  readonly ack: AckMode;
  readonly #stream: DuplexStream<typeof AppendRequestSchema>;

  constructor(replica: Replica, target: Target, ack: AckMode, events: SessionEvents) {
    this.replica = replica;
    this.ack = ack;
    this.#stream = replica.channel.bidi(JournalService.method.append, {
      onMessage: ({ message }) => {
        if (message.case === 'outcomes') events.onRuns(message.value.runs);
        else if (message.case === 'welcome') events.onWelcome(message.value);
      },
      onEnd: (error) => {
        const ended = `${replica.region} ended the append session`;
        events.onEnd(error ?? new MeridianError('UNAVAILABLE', ended));
      },
      onDrain: () => {
        events.onRoom();
      },
    });
    const wire = ack === 'QUORUM' ? Ack.QUORUM : Ack.ORDERED;
    this.#stream.write(
      create(AppendRequestSchema, { message: { case: 'hello', value: { target, ack: wire } } }),
    );
  }

  get hasRoom(): boolean {
    return this.#stream.queued < QUEUED_MAX;
  }

  send(frames: Uint8Array, minTimestamp: number): void {
    const value = { frames, minTimestamp: BigInt(minTimestamp) };
    this.#stream.write(create(AppendRequestSchema, { message: { case: 'batches', value } }));
  }

  /** Nothing more is sent and nothing is awaited. */
  finish(): void {
    this.#stream.end();
  }

  /** Gives up at once; no callback comes any more. */
  cancel(): void {
    this.#stream.cancel();
  }
}
