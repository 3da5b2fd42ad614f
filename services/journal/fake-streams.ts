/** Streams without a network, for tests: what was written, how the call ended, and a client's hands. */
import type { Message } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { BidiStream } from '../../libs/rpc/rpc.ts';

export class FakeStream<In extends Message, Out extends Message> implements BidiStream<In, Out> {
  readonly peer = 'test';
  readonly caller = null;
  readonly written: Out[] = [];
  closed = false;
  queued = 0;
  /** Messages after which `write` says false. */
  room = Infinity;
  ended: 'well' | MeridianError | null = null;
  readonly #sent: (() => void)[] = [];
  #message: (message: In) => void = () => undefined;
  #halfClose: () => void = () => undefined;
  #drain: () => void = () => undefined;
  #close: () => void = () => undefined;

  write(message: Out, sent?: () => void): boolean {
    if (this.ended !== null || this.closed) throw new Error('written after the end');
    this.written.push(message);
    if (sent !== undefined) this.#sent.push(sent);
    this.queued += 1;
    return this.queued < this.room;
  }
  onMessage(callback: (message: In) => void): void {
    this.#message = callback;
  }
  onHalfClose(callback: () => void): void {
    this.#halfClose = callback;
  }
  onDrain(callback: () => void): void {
    this.#drain = callback;
  }
  onClose(callback: () => void): void {
    this.#close = callback;
  }
  pause(): void {
    this.room = 0;
  }
  resume(): void {
    this.room = Infinity;
  }
  end(): void {
    this.ended = 'well';
  }
  fail(error: unknown): void {
    if (!(error instanceof MeridianError)) throw error;
    this.ended = error;
  }

  // The client's hands.
  say(message: In): void {
    this.#message(message);
  }
  halfClose(): void {
    this.#halfClose();
  }
  hangUp(): void {
    this.closed = true;
    this.#close();
  }
  take(): Out[] {
    const taken = this.written.splice(0);
    this.queued = 0;
    for (const sent of this.#sent.splice(0)) sent();
    this.#drain();
    return taken;
  }

  get reason(): string {
    return this.ended instanceof MeridianError ? this.ended.reason : String(this.ended);
  }
}
