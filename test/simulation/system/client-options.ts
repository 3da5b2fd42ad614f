/** The swarm of the clients of the client library, and of the sessions that they append through. */
import { Prng } from '../prng.ts';

export interface ClientSwarm {
  /** Of the client library, at each instance. */
  readonly clients: number;
  /** Streams of their own. */
  readonly streams: number;
  /** Mean pause of a client between two things, microseconds. */
  readonly think: number;
  /** Most appends that are made without waiting. */
  readonly burst: number;
  readonly silenceMs: number;
  readonly deadlineMs: number;
  readonly queueBytesMax: number;
  /** Largest time to live of a lease. */
  readonly ttlMsMax: number;
  readonly sessions: SessionSwarm;
}

/** Bounds of a replica. */
export interface SessionSwarm {
  readonly windowBytes: number;
  readonly unansweredBytesMax: number;
  readonly batchBytesMax: number;
  readonly sessionsMax: number;
  readonly actionsMax: number;
}

/** Drawn apart from everything else of a seed. */
export function drawClients(seed: number, intensity: number): ClientSwarm {
  const draw = new Prng(seed, 'clients of the library');
  // As services/journal/config.ts has it: a batch fits into the window, and the window into the whole.
  const batchBytesMax = draw.pick([500, 4_000]);
  const windowBytes = draw.pick([batchBytesMax, 1 << 20]);
  const unansweredBytesMax = draw.pick([windowBytes, 2 << 20]);
  return {
    clients: draw.between(1, 2) + (intensity > 1 ? 1 : 0),
    streams: draw.between(2, 4),
    think: draw.magnitude(80_000, 600_000) / intensity,
    burst: draw.pick([1, 3, 8]),
    silenceMs: draw.between(300, 1_500),
    deadlineMs: draw.between(3_000, 8_000),
    queueBytesMax: draw.pick([2_000, 1 << 20]),
    ttlMsMax: draw.pick([400, 3_000]),
    sessions: {
      windowBytes,
      unansweredBytesMax,
      batchBytesMax,
      sessionsMax: draw.pick([8, 100]),
      actionsMax: draw.pick([1, 100]),
    },
  };
}
