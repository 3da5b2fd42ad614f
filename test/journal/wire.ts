/**
 * One direction between two processes, for tests: what TCP connections carry that way passes through
 * here and can be held back (a cut: the bytes wait, as they do in the sender's kernel, and go on when
 * it heals), delayed, narrowed or broken. All connections of a direction share one wire, so its width
 * is that of the link. Counts the bytes that got through.
 *
 * Deliberately not here: loss inside a connection. TCP repairs it, so it is only delay.
 */
import type { Socket } from 'node:net';

export interface Slowness {
  readonly delayMs?: number;
  readonly bytesPerSecond?: number;
}

/** What may be under way: about what kernels hold; a narrow link holds little. */
const BUFFER_BYTES = 4 << 20;
const NARROW_BUFFER_BYTES = 64 << 10;
const NARROW_SLICE_BYTES = 1 << 10;

export class Wire {
  /** Bytes that got through so far. */
  bytes = 0;
  isCut = false;
  #delayMs = 0;
  #bytesPerSecond = Infinity;
  /** When the last byte handed over so far will be through. */
  #freeAt = 0;
  readonly #pumps = new Set<Pump>();

  cut(): void {
    this.isCut = true;
  }

  slow({ delayMs = 0, bytesPerSecond = Infinity }: Slowness): void {
    this.#delayMs = delayMs;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** As good as new; what was held back goes on. */
  heal(): void {
    this.isCut = false;
    this.#delayMs = 0;
    this.#bytesPerSecond = Infinity;
    this.#freeAt = 0;
    for (const pump of this.#pumps) pump.hurry();
  }

  get isNarrow(): boolean {
    return this.#bytesPerSecond !== Infinity;
  }

  /** When these bytes will be through, if nothing is cut; takes their room on the wire. */
  reserve(bytes: number): number {
    const now = performance.now();
    if (!this.isNarrow) return now + this.#delayMs;
    this.#freeAt = Math.max(this.#freeAt, now) + (bytes / this.#bytesPerSecond) * 1000;
    return this.#freeAt + this.#delayMs;
  }

  carry(from: Socket, to: Socket): void {
    const pump = new Pump(this, from, to);
    this.#pumps.add(pump);
    from.once('close', () => {
      pump.end();
    });
    to.once('close', () => {
      this.#pumps.delete(pump);
      pump.stop();
      from.destroy();
    });
  }
}

/** One connection's share of a wire. */
class Pump {
  readonly #wire: Wire;
  readonly #from: Socket;
  readonly #to: Socket;
  #queue: { readonly bytes: Buffer; readonly dueAt: number }[] = [];
  #queuedBytes = 0;
  #ended = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(wire: Wire, from: Socket, to: Socket) {
    this.#wire = wire;
    this.#from = from;
    this.#to = to;
    from.on('data', (bytes: Buffer) => {
      this.#take(bytes);
    });
    to.on('drain', () => {
      this.#flush();
    });
  }

  /** The source has ended: so does the other side, after what is still under way. */
  end(): void {
    this.#ended = true;
    this.#flush();
  }

  stop(): void {
    this.#queue = [];
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  hurry(): void {
    this.#queue = this.#queue.map(({ bytes }) => ({ bytes, dueAt: 0 }));
    this.#flush();
  }

  #take(bytes: Buffer): void {
    const slice = this.#wire.isNarrow ? NARROW_SLICE_BYTES : bytes.length;
    for (let offset = 0; offset < bytes.length; offset += slice) {
      const part = bytes.subarray(offset, offset + slice);
      this.#queue.push({ bytes: part, dueAt: this.#wire.reserve(part.length) });
    }
    this.#queuedBytes += bytes.length;
    const most = this.#wire.isNarrow ? NARROW_BUFFER_BYTES : BUFFER_BYTES;
    if (this.#queuedBytes > most) this.#from.pause();
    this.#flush();
  }

  #flush(): void {
    if (this.#wire.isCut) return;
    let count = 0;
    for (const { bytes, dueAt } of this.#queue) {
      if (this.#to.writableNeedDrain || dueAt > performance.now()) break;
      this.#to.write(bytes);
      this.#wire.bytes += bytes.length;
      this.#queuedBytes -= bytes.length;
      count += 1;
    }
    this.#queue.splice(0, count);
    if (this.#queuedBytes < NARROW_BUFFER_BYTES / 2) this.#from.resume();
    const next = this.#queue[0];
    if (next !== undefined) this.#wakeAt(next.dueAt);
    else if (this.#ended) this.#to.end();
  }

  #wakeAt(dueAt: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#flush();
      },
      Math.max(0, dueAt - performance.now()),
    );
  }
}
