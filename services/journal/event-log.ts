/**
 * What the replica has told of its state lately, kept for the console: a logger in front of the logger. The
 * log itself stays the record; this forgets all but the last two hundred lines, and everything at a restart.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { EventSchema } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';

const EVENTS_MAX = 200;

export type Event = MessageInitShape<typeof EventSchema>;
type Line = [fields: object, message: string] | [message: string];

export class EventLog {
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #now: () => number;
  readonly #events: Event[] = [];

  /** `now`: wall clock, microseconds. */
  constructor(logger: Pick<Logger, 'info' | 'warn'>, now: () => number) {
    this.#logger = logger;
    this.#now = now;
  }

  /** Oldest first. */
  get list(): readonly Event[] {
    return this.#events;
  }

  readonly info = (...line: Line): void => {
    this.#keep(false, line);
    if (line.length === 2) this.#logger.info(...line);
    else this.#logger.info(...line);
  };

  readonly warn = (...line: Line): void => {
    this.#keep(true, line);
    if (line.length === 2) this.#logger.warn(...line);
    else this.#logger.warn(...line);
  };

  #keep(warning: boolean, line: Line): void {
    const [fields, message] = line.length === 2 ? line : [{}, ...line];
    const shown = Object.entries(fields).map(([name, value]) => [name, textOf(value)] as const);
    const event = { at: BigInt(this.#now()), warning, message, fields: Object.fromEntries(shown) };
    this.#events.push(event);
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
