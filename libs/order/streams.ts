/**
 * The streams of the machine (SPEC.md): where each stands, by name. A deleted name stays, without a
 * life, so that a later life goes on with its numbers and tokens: neither ever means two things.
 * Deliberately not here: what an append or a control action does to a stream (machine.ts, control.ts).
 */
import { assert } from '../values/assert.ts';
import type { SeqNum, Timestamp } from '../values/numbers.ts';
import { fingerprint } from './hash.ts';
import { SortedNames } from './names.ts';
import type { ChunkReader, ChunkWriter } from './snapshot.ts';
import type { FencingMode, OrderFailure, StreamPage, StreamQuery, StreamState } from './types.ts';

export interface Stream {
  readonly name: string;
  readonly fingerprint: number;
  /** false: deleted; only numbers and token are kept. */
  alive: boolean;
  /** Timestamp of the entry that began this life. */
  createdAt: Timestamp;
  nextSeqNum: number;
  firstSeqNum: number;
  lastTimestamp: Timestamp;
  fencingToken: number;
  fencing: FencingMode;
  lease: StreamLease | null;
}

/** Kept beyond its expiry, until another grant, a fence or a release: its holder may still renew it. */
export interface StreamLease {
  readonly holder: string;
  readonly token: number;
  expiresAt: number;
}

const FENCING: readonly FencingMode[] = ['none', 'required'];
const ALIVE = 1;
const LEASED = 2;

export class Streams {
  readonly #byName = new Map<string, Stream>();
  readonly #names = new SortedNames();
  readonly #namesMax: number;
  #aliveCount = 0;

  constructor(namesMax: number) {
    assert(namesMax >= 1, 'room for a stream');
    this.#namesMax = namesMax;
  }

  /** Streams that exist. */
  get count(): number {
    return this.#aliveCount;
  }

  /** Names that are kept, those of deleted streams included. */
  get nameCount(): number {
    return this.#byName.size;
  }

  /** The stream, if it exists. */
  get(name: string): Stream | undefined {
    const stream = this.#byName.get(name);
    return stream?.alive === true ? stream : undefined;
  }

  /** The same, and where the numbers and tokens of a deleted one stand. */
  peek(name: string): Stream | undefined {
    return this.#byName.get(name);
  }

  /** false: there are as many names as are allowed, and this is not one of them. */
  hasRoomFor(name: string): boolean {
    return this.#byName.size < this.#namesMax || this.#byName.has(name);
  }

  /** What is said when there is no room. */
  get full(): OrderFailure {
    return { reason: 'OVERLOADED', what: 'streams', limit: this.#namesMax };
  }

  /** Begins a life of the name, which has none and for which there is room. */
  create(name: string, timestamp: Timestamp): Stream {
    const before = this.#byName.get(name);
    assert(before?.alive !== true && this.hasRoomFor(name), `${name} can be created`);
    this.#aliveCount += 1;
    if (before !== undefined) {
      before.alive = true;
      before.createdAt = timestamp;
      return before;
    }
    const stream: Stream = {
      name,
      fingerprint: fingerprint(name),
      alive: true,
      createdAt: timestamp,
      nextSeqNum: 0,
      firstSeqNum: 0,
      lastTimestamp: 0 as Timestamp,
      fencingToken: 0,
      fencing: 'none',
      lease: null,
    };
    this.#add(stream);
    return stream;
  }

  delete(stream: Stream): void {
    assert(stream.alive, 'only what exists is deleted');
    this.#aliveCount -= 1;
    stream.alive = false;
    stream.firstSeqNum = stream.nextSeqNum;
    stream.lastTimestamp = 0 as Timestamp;
    // Who still appends with the old token must not bring the stream back to life.
    if (stream.fencingToken > 0) stream.fencingToken += 1;
    stream.fencing = 'none';
    stream.lease = null;
  }

  state(name: string): StreamState | null {
    const stream = this.get(name);
    return stream === undefined ? null : stateOf(stream);
  }

  page({ prefix, after, limit }: StreamQuery): StreamPage {
    const { names, more } = this.#names.page(
      { prefix, after, limit },
      (name) => this.#byName.get(name)?.alive === true,
    );
    const streams = names.map((name) => this.state(name));
    return { streams: streams.filter((state) => state !== null), more };
  }

  *save(out: ChunkWriter): Generator<Uint8Array> {
    out.u32(this.#byName.size);
    for (const stream of this.#byName.values()) {
      if (!out.hasRoom) yield out.cut(false);
      saveStream(out, stream);
    }
  }

  restore(from: ChunkReader): void {
    for (let left = from.u32(); left > 0; left -= 1) {
      from.item();
      const stream = readStream(from);
      assert(!this.#byName.has(stream.name), `stream ${stream.name} comes once`);
      if (stream.alive) this.#aliveCount += 1;
      this.#add(stream);
    }
  }

  #add(stream: Stream): void {
    this.#byName.set(stream.name, stream);
    this.#names.add(stream.name);
  }
}

function stateOf(stream: Stream): StreamState {
  const { name, createdAt, lastTimestamp, fencingToken, fencing, lease } = stream;
  return {
    name,
    createdAt,
    nextSeqNum: stream.nextSeqNum as SeqNum,
    firstSeqNum: stream.firstSeqNum as SeqNum,
    lastTimestamp,
    fencingToken,
    config: { fencing },
    lease: lease === null ? null : { ...lease },
  };
}

function saveStream(out: ChunkWriter, stream: Stream): void {
  const { lease } = stream;
  out.u8((stream.alive ? ALIVE : 0) | (lease === null ? 0 : LEASED));
  out.u8(FENCING.indexOf(stream.fencing));
  out.text(stream.name);
  out.u64(stream.createdAt);
  out.u64(stream.nextSeqNum);
  out.u64(stream.firstSeqNum);
  out.u64(stream.lastTimestamp);
  out.u64(stream.fencingToken);
  if (lease === null) return;
  out.text(lease.holder);
  out.u64(lease.token);
  out.u64(lease.expiresAt);
}

function readStream(from: ChunkReader): Stream {
  const flags = from.u8();
  const fencing = FENCING[from.u8()];
  assert(fencing !== undefined && flags <= (ALIVE | LEASED), 'flags and fencing of a stream');
  const name = from.text();
  const stream: Stream = {
    name,
    fingerprint: fingerprint(name),
    alive: (flags & ALIVE) !== 0,
    createdAt: from.u64() as Timestamp,
    nextSeqNum: from.u64(),
    firstSeqNum: from.u64(),
    lastTimestamp: from.u64() as Timestamp,
    fencingToken: from.u64(),
    fencing,
    lease: null,
  };
  assert(stream.firstSeqNum <= stream.nextSeqNum, `${name}: first number ≤ next`);
  if ((flags & LEASED) !== 0) {
    stream.lease = { holder: from.text(), token: from.u64(), expiresAt: from.u64() };
  }
  return stream;
}
