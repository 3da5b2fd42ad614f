/**
 * An explicit writer: appends that take effect once even across restarts of the program, because the
 * journal knows the writer by its id and where its chain of sequence numbers stands. Before its
 * first append it asks for that, linearizably. Appends made meanwhile wait, in order.
 */
import { randomUUID } from 'node:crypto';
import { MeridianError } from '../errors/errors.ts';
import type { RecordInput } from '../frames/batch.ts';
import type { Appender } from './appender.ts';
import type { WriterStart } from './identity.ts';
import type { AppendInput, Done } from './pipeline.ts';
import type { AppendResult, WriterAppendOptions, WriterOptions, WriterState } from './types.ts';

export interface WriterSettings extends WriterOptions {
  readonly deadlineMs: number;
  readonly getWriter: (id: string) => Promise<WriterState | null>;
  readonly createAppender: (start: WriterStart) => Appender;
}

export class Writer {
  readonly id: string;
  readonly #settings: WriterSettings;
  #appender: Appender | null = null;
  #start: Promise<WriterState> | null = null;
  #early: ((appender: Appender) => void)[] = [];
  #rejectEarly: ((error: MeridianError) => void)[] = [];
  #ended: MeridianError | null = null;

  /** Use `journal.writer()`. */
  constructor(settings: WriterSettings) {
    this.#settings = settings;
    this.id = settings.id ?? randomUUID();
  }

  /**
   * Why the writer takes nothing more; null while it does. It ends at the first append that failed
   * without having been decided by the order (DEADLINE, TOO_LARGE, OVERLOADED, ...): those pipelined
   * behind it must not jump over it. A failed condition is a decision and does not end it.
   */
  get ended(): MeridianError | null {
    return this.#ended ?? this.#appender?.ended ?? null;
  }

  /** Bytes of appends that are not answered; `append` fails as OVERLOADED beyond `queueBytesMax`. */
  get unansweredBytes(): number {
    return this.#appender?.unansweredBytes ?? 0;
  }

  /**
   * What the journal knows: this writer's epoch, and the last sequence number that was decided. A
   * program that restarts goes on behind it. Called by the first `append` if not before.
   *
   * Errors: WRITER_FENCED when a higher epoch has appended; UNAVAILABLE or DEADLINE when no replica answers.
   */
  start(): Promise<WriterState> {
    this.#start ??= this.#begin();
    return this.#start;
  }

  /**
   * Appends records to a stream as one batch: all or none, one after the other. Appends are
   * pipelined and decided in the order of the calls. The bytes must not change before the answer.
   */
  append(
    stream: string,
    records: readonly RecordInput[],
    options: WriterAppendOptions = {},
  ): Promise<AppendResult> {
    const { deadlineMs = this.#settings.deadlineMs, ...wish } = options;
    const input: AppendInput = { stream, records, ...wish };
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) {
        reject(this.#ended);
        return;
      }
      const done: Done = (error, result) => {
        if (result !== null) resolve(result);
        else reject(error ?? new MeridianError('INDEFINITE', 'no answer'));
      };
      if (this.#appender !== null) this.#appender.append(input, deadlineMs, done);
      else {
        this.#early.push((appender) => {
          appender.append(input, deadlineMs, done);
        });
        this.#rejectEarly.push(reject);
        // Its failure reaches the caller through `#rejectEarly`.
        this.start().catch(() => undefined);
      }
    });
  }

  /** Resolves when every append so far has been answered, well or not. */
  async flush(): Promise<void> {
    if (this.#early.length > 0) await this.start().catch(() => undefined);
    await this.#appender?.whenIdle();
  }

  /** Takes nothing more; what is not answered is rejected. Use `flush` before. */
  close(): void {
    this.#fail(new MeridianError('UNAVAILABLE', 'the writer was closed'));
    this.#appender?.close();
  }

  async #begin(): Promise<WriterState> {
    try {
      const known = await this.#settings.getWriter(this.id);
      const current = known?.epoch ?? 0;
      const epoch = this.#settings.epoch ?? current + 1;
      if (epoch < current) {
        const message = `writer ${this.id} has appended with epoch ${current}; epoch ${epoch} is fenced`;
        throw new MeridianError('WRITER_FENCED', message, { details: { epoch, current } });
      }
      if (this.#ended !== null) throw this.#ended;
      const lastSeq = known?.lastSeq ?? 0;
      const appender = this.#settings.createAppender({ id: this.id, epoch, lastSeq });
      this.#appender = appender;
      for (const append of this.#early.splice(0)) append(appender);
      this.#rejectEarly = [];
      return { epoch, lastSeq, timestamp: known?.timestamp ?? 0 };
    } catch (error) {
      const failure =
        error instanceof MeridianError ? error : new MeridianError('INVALID', String(error));
      this.#fail(failure);
      throw failure;
    }
  }

  #fail(error: MeridianError): void {
    this.#ended ??= error;
    this.#early = [];
    for (const reject of this.#rejectEarly.splice(0)) reject(error);
  }
}
