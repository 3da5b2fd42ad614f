/**
 * Keeps asking how wrong the wall clock may be, where that is measured (`clock.errorSource`), and hands
 * every answer to the lane core, in the background: nobody waits for it. An answer that does not come
 * is told in the log, once, and to nobody else: the core lets the last reading age by 0.1 % and refuses
 * appends as CLOCK_UNSAFE once it is beyond `maxClockErrorMs`, as it does before the first.
 */
import { execFile } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { CLOCK_BOUND_BYTES, chronyError, clockBoundError } from './clock-readings.ts';
import type { JournalConfig } from './config.ts';

/** Calls one of the two, once. */
export type ClockErrorSource = (
  done: (micros: number) => void,
  failed: (why: string) => void,
) => void;

export interface ClockErrorOptions {
  readonly source: ClockErrorSource;
  readonly refreshMs: number;
  readonly onReading: (micros: number) => void;
  /** It could not be read, for this reason; null: it can again. Told when it changes. */
  readonly onChange: (why: string | null) => void;
}

const CHRONYC_TIMEOUT_MS = 2_000;
const CHRONYC_OUTPUT_BYTES = 64 * 1024;
const SEGMENT_TRIES = 10;

export class ClockErrorWatch {
  readonly #options: ClockErrorOptions;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  #failing: string | null = null;

  constructor(options: ClockErrorOptions) {
    this.#options = options;
  }

  start(): void {
    const { source, onReading } = this.#options;
    source(
      (micros) => {
        if (this.#stopped) return;
        this.#tell(null);
        onReading(micros);
        this.#again();
      },
      (why) => {
        if (this.#stopped) return;
        this.#tell(why);
        this.#again();
      },
    );
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #again(): void {
    this.#timer = setTimeout(() => {
      this.start();
    }, this.#options.refreshMs);
  }

  #tell(why: string | null): void {
    if (why === this.#failing) return;
    this.#failing = why;
    this.#options.onChange(why);
  }
}

/** Starts as configured; null where the setting alone says how wrong the clock may be. */
export function watchClockError(
  { clock, timings }: JournalConfig,
  logger: Logger,
  onReading: (micros: number) => void,
): ClockErrorWatch | null {
  const { errorSource, chronycCommand, clockBoundFile, refreshMs } = clock;
  if (errorSource === 'setting') return null;
  const watch = new ClockErrorWatch({
    source:
      errorSource === 'chrony' ? chronySource(chronycCommand) : clockBoundSource(clockBoundFile),
    refreshMs,
    onReading,
    onChange: (why) => {
      if (why === null) logger.info({ errorSource }, 'the error of the clock is known');
      else {
        const { maxClockErrorMs } = timings;
        logger.warn(
          { errorSource, why, maxClockErrorMs },
          'the error of the clock cannot be read: appends are refused once it may be beyond its bound',
        );
      }
    },
  });
  watch.start();
  return watch;
}

/** Runs `chronyc -c tracking`. */
export function chronySource(command: string): ClockErrorSource {
  const options = { timeout: CHRONYC_TIMEOUT_MS, maxBuffer: CHRONYC_OUTPUT_BYTES };
  return (done, failed) => {
    execFile(command, ['-c', 'tracking'], options, (error, stdout) => {
      if (error !== null) failed(`${command}: ${error.message}`);
      else attempt(() => chronyError(stdout), done, failed);
    });
  };
}

/** Reads ClockBound's segment. */
export function clockBoundSource(file: string): ClockErrorSource {
  return (done, failed) => {
    attempt(() => readSegment(file), done, failed);
  };
}

function readSegment(file: string): number {
  const descriptor = openSync(file, 'r');
  try {
    const [segment, again] = [Buffer.alloc(CLOCK_BOUND_BYTES), Buffer.alloc(CLOCK_BOUND_BYTES)];
    for (let tries = 0; tries < SEGMENT_TRIES; tries += 1) {
      const bytes = readSync(descriptor, segment, 0, CLOCK_BOUND_BYTES, 0);
      const error = clockBoundError(segment.subarray(0, bytes), process.hrtime.bigint());
      readSync(descriptor, again, 0, CLOCK_BOUND_BYTES, 0);
      // Written meanwhile: what was read may be half of each.
      if (error !== null && segment.equals(again)) return error;
    }
  } finally {
    closeSync(descriptor);
  }
  throw new Error(`${file} is written whenever it is read`);
}

function attempt(
  read: () => number,
  done: (micros: number) => void,
  failed: (why: string) => void,
): void {
  let micros: number;
  try {
    micros = read();
  } catch (error) {
    failed(error instanceof Error ? error.message : String(error));
    return;
  }
  done(micros);
}
