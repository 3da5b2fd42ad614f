/**
 * Structured logs: one JSON object a line on standard output, `time`, `level`, `msg` and what the
 * logger is bound to. Owns the bound: where nobody drains the pipe, lines are dropped and counted
 * instead of kept (Node would buffer without limit), and the service does not notice.
 */
import pino from 'pino';
import type { Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface LoggerOptions {
  /** Bound to every line. */
  readonly service: string;
  readonly region?: string;
  /** Default info. */
  readonly level?: LogLevel;
  /** Where lines go. Default standard output. */
  readonly sink?: LogSink;
}

/** The part of a stream that is needed. */
export interface LogSink {
  /** Bytes that were written and have not left the process. */
  readonly writableLength: number;
  write(text: string): boolean;
  on(event: 'drain' | 'error', listener: (error?: Error) => void): unknown;
}

/** Bytes of lines that may wait for a slow reader; beyond, lines are dropped. */
export const LOG_BUFFER_BYTES_MAX = 1024 * 1024;

export function createLogger(options: LoggerOptions): Logger {
  const base = {
    service: options.service,
    ...(options.region === undefined ? {} : { region: options.region }),
  };
  const settings: pino.LoggerOptions = {
    level: options.level ?? 'info',
    base,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { error: pino.stdSerializers.err },
  };
  const destination = boundedDestination(options.sink ?? process.stdout);
  const logger = pino(settings, destination);
  destination.onRecovered = (dropped) => {
    logger.warn({ dropped }, 'log lines were dropped: standard output was not drained');
  };
  return logger;
}

interface BoundedDestination {
  write(line: string): void;
  onRecovered: (dropped: number) => void;
}

function boundedDestination(sink: LogSink): BoundedDestination {
  let dropped = 0;
  let gone = false;
  const destination: BoundedDestination = {
    onRecovered: () => undefined,
    write: (line) => {
      if (gone) return;
      if (sink.writableLength + line.length > LOG_BUFFER_BYTES_MAX) dropped += 1;
      else sink.write(line);
    },
  };
  sink.on('drain', () => {
    if (dropped === 0) return;
    const count = dropped;
    dropped = 0;
    destination.onRecovered(count);
  });
  // A reader that closed the pipe (EPIPE) ends the log, not the service.
  sink.on('error', () => {
    gone = true;
  });
  return destination;
}
