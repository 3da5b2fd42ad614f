/**
 * One append session with one replica: an ordered pipe. What goes in is answered in order or not at
 * all; when the pipe ends, everything unanswered is its owner's again (appender.ts).
 */
import { create } from '@bufbuild/protobuf';
import { isReason, MeridianError } from '../errors/errors.ts';
import type { DuplexStream } from '../rpc/rpc.ts';
import { Ack, AppendRequestSchema, JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { AppendRun } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { Region } from './regions.ts';

export interface PipeOptions {
  readonly cluster: string;
  readonly instance: string;
  readonly ack: 'QUORUM' | 'ORDERED';
}

export interface PipeEvents {
  /** The replica is there; frames may be sent, up to this many bytes unanswered. */
  onOpen(windowBytes: number, batchBytesMax: number): void;
  onRun(run: AppendRun): void;
  /** There is room again after `send` returned false. */
  onDrain(): void;
  /** Once; null when the replica ended the session without a reason. Not after `close`. */
  onEnd(error: MeridianError | null): void;
}

export class Pipe {
  readonly region: string;
  readonly ack: PipeOptions['ack'];
  private readonly stream: DuplexStream<typeof AppendRequestSchema>;

  constructor(region: Region, options: PipeOptions, events: PipeEvents) {
    this.region = region.name;
    this.ack = options.ack;
    this.stream = region.channel.bidi(JournalService.method.append, {
      onMessage: ({ message }) => {
        if (message.case === 'welcome') {
          events.onOpen(Number(message.value.windowBytes), message.value.batchBytesMax);
        } else if (message.case === 'outcomes') {
          for (const run of message.value.runs) events.onRun(run);
        }
      },
      onEnd: (error) => {
        events.onEnd(error);
      },
      onDrain: () => {
        events.onDrain();
      },
    });
    const target = { cluster: options.cluster, instance: options.instance };
    const ack = options.ack === 'QUORUM' ? Ack.QUORUM : Ack.ORDERED;
    this.stream.write(
      create(AppendRequestSchema, { message: { case: 'hello', value: { target, ack } } }),
    );
  }

  /** Sends batch frames; false: wait for `onDrain`. */
  send(frames: readonly Uint8Array[], bytes: number, minTimestamp: number): boolean {
    const packed = new Uint8Array(bytes);
    let offset = 0;
    for (const frame of frames) {
      packed.set(frame, offset);
      offset += frame.length;
    }
    const value = { frames: packed, minTimestamp: BigInt(minTimestamp) };
    return this.stream.write(create(AppendRequestSchema, { message: { case: 'batches', value } }));
  }

  close(): void {
    this.stream.cancel();
  }
}

/** The failure in a run, as the error its append is rejected with. */
export function failureOf(run: AppendRun): MeridianError | null {
  const { failure } = run;
  if (failure === undefined) return null;
  const { reason, details, message } = failure;
  // A reason of a later version: what it means is not known here, so neither is the effect.
  if (!isReason(reason))
    return new MeridianError('INDEFINITE', `${reason}: ${message}`, { details });
  return new MeridianError(reason, message, { details });
}
