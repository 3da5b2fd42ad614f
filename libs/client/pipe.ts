/**
 * One append session with one replica: an ordered pipe. What goes in is answered in order or not at
 * all; when the pipe ends, everything unanswered is its owner's again (appender.ts).
 */
import { create } from '@bufbuild/protobuf';
import { isReason, MeridianError } from '../errors/errors.ts';
import type { BidiHandlers, DuplexStream } from '../rpc/rpc.ts';
import { Ack, AppendRequestSchema, JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendResponseSchema,
  AppendRun,
  Failure,
} from '../gen/meridian/journal/v1/journal_pb.ts';
import { batchesMessage, encodeAppendRequest } from './append-codec.ts';
import type { Region } from './regions.ts';
import type { AckMode } from './types.ts';

export interface PipeOptions {
  readonly cluster: string;
  readonly instance: string;
  readonly ack: AckMode;
}

export interface PipeEvents {
  /** The replica is there; frames may be sent, up to this many bytes unanswered. */
  onOpen(windowBytes: number, batchBytesMax: number): void;
  onRuns(runs: readonly AppendRun[]): void;
  /** There is room again after `hasRoom` was false. */
  onDrain(): void;
  /** Once. Not after `cancel`. */
  onEnd(error: MeridianError): void;
}

export class Pipe {
  readonly region: Region;
  readonly ack: AckMode;
  /** false: enough waits in this process already; later batches wait for a fuller message. */
  hasRoom = true;
  readonly #stream: DuplexStream<typeof AppendRequestSchema>;

  /** Calls back only after the constructor has returned. */
  constructor(region: Region, options: PipeOptions, events: PipeEvents) {
    this.region = region;
    this.ack = options.ack;
    const handlers: BidiHandlers<typeof AppendResponseSchema> = {
      onMessage: ({ message }) => {
        if (message.case === 'outcomes') events.onRuns(message.value.runs);
        else if (message.case === 'welcome') {
          events.onOpen(Number(message.value.windowBytes), message.value.batchBytesMax);
        }
      },
      onEnd: (error) => {
        const ended = `${region.name} ended the append session`;
        events.onEnd(error ?? new MeridianError('UNAVAILABLE', ended));
      },
      onDrain: () => {
        this.hasRoom = true;
        events.onDrain();
      },
    };
    const { append } = JournalService.method;
    this.#stream = region.channel.bidi(append, handlers, encodeAppendRequest);
    const target = { cluster: options.cluster, instance: options.instance };
    const ack = options.ack === 'QUORUM' ? Ack.QUORUM : Ack.ORDERED;
    this.#stream.write(
      create(AppendRequestSchema, { message: { case: 'hello', value: { target, ack } } }),
    );
  }

  /** Sends batch frames of `bytes` bytes together. */
  send(frames: readonly Uint8Array[], bytes: number, minTimestamp: number): void {
    this.hasRoom = this.#stream.write(batchesMessage(frames, bytes, minTimestamp));
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

/** The failure in a run, as the error its append is rejected with. */
export function failureOf(run: AppendRun): MeridianError | null {
  return run.failure === undefined ? null : errorOf(run.failure);
}

export function errorOf({ reason, details, message }: Failure): MeridianError {
  // A reason of a later version: what it means is not known here, so neither is the effect.
  if (!isReason(reason))
    return new MeridianError('INDEFINITE', `${reason}: ${message}`, { details });
  return new MeridianError(reason, message, { details });
}
