/**
 * For tests: an instance in memory whose followers move only when told to, in pieces of any size, so
 * that a test decides every interleaving; and a subscriber whose connection takes as much as it is told.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeBatchHeader, decodeRecords, encodeBatch } from '../../libs/frames/batch.ts';
import { decodeDeliveries, encodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import { MEMBERS_STREAM, encodeMemberRecord } from '../../libs/frames/member-record.ts';
import type { MemberRecord, MemberRenewal } from '../../libs/frames/member-record.ts';
import { KeyFilter } from '../../libs/frames/key-filter.ts';
import type { KeyRange } from '../../libs/frames/key-filter.ts';
import { Gap_Kind } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { SubscribeResponse } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { seqNum, timestamp } from '../../libs/values/numbers.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import type {
  FollowHandlers,
  Following,
  Instance,
  InstanceGap,
  InstancePosition,
  StreamRecord,
} from './instance.ts';
import type { ResponseStream } from './outbox.ts';

export class FakeInstance implements Instance {
  readonly name: string;
  readonly number: number;
  readonly log: Delivery[] = [];
  readonly followings: FakeFollowing[] = [];
  /** While set, heartbeats and questions for the watermark fail with it. */
  down: MeridianError | null = null;
  /** Records of each stream that are given up. */
  trimmed = 0;
  /** Those that the log does not have any more either. */
  gone = 0;
  heartbeats = 0;
  closed = 0;
  reached = 0;
  #seqNum = 0;

  constructor(name: string, number: number) {
    this.name = name;
    this.number = number;
  }

  /** An entry with one batch per stream named, one record each; the key is what follows a colon. */
  append(at: number, names: readonly string[], bodyBytes = 10): void {
    names.forEach((name, recordOffset) => {
      const [stream = '', key] = name.split(':');
      const body = Buffer.alloc(bodyBytes, `${this.name}/${at}/${recordOffset} `);
      this.log.push({
        timestamp: timestamp(at),
        recordOffset,
        firstSeqNum: seqNum(this.#seqNum),
        instance: 0,
        batch: encodeBatch({
          stream,
          records: [key === undefined ? { body } : { key: Buffer.from(key), body }],
        }),
      });
      this.#seqNum += 1;
    });
  }

  /** An entry with a change of the members. */
  change(at: number, record: MemberRecord | MemberRenewal): void {
    const batch = encodeBatch({ stream: MEMBERS_STREAM, records: [encodeMemberRecord(record)] });
    const firstSeqNum = seqNum(this.#of(MEMBERS_STREAM, Infinity).length);
    this.log.push({ timestamp: timestamp(at), recordOffset: 0, firstSeqNum, instance: 0, batch });
  }

  follow(
    after: InstancePosition,
    keyRanges: readonly KeyRange[],
    handlers: FollowHandlers,
  ): Following {
    const following = new FakeFollowing(this, after, {
      filter: keyRanges.length === 0 ? null : new KeyFilter(keyRanges),
      handlers,
    });
    this.followings.push(following);
    return following;
  }

  /** Everybody gets everything, and the watermark. */
  settle(): void {
    for (const following of [...this.followings]) {
      following.deliver(Infinity);
      following.progress();
    }
  }

  heartbeat(): Promise<Timestamp> {
    this.heartbeats += 1;
    if (this.down !== null) return Promise.reject(this.down);
    return Promise.resolve(timestamp(this.reached));
  }

  watermark(): Promise<Timestamp> {
    if (this.down !== null) return Promise.reject(this.down);
    return Promise.resolve(timestamp(this.reached));
  }

  localTail(stream: string): Promise<{ watermark: Timestamp; records: number }> {
    if (this.down !== null) return Promise.reject(this.down);
    const records = this.#of(stream, this.reached).length + this.gone;
    return Promise.resolve({ watermark: timestamp(this.reached), records });
  }

  tail(stream: string): Promise<number> {
    if (this.down !== null) return Promise.reject(this.down);
    return Promise.resolve(this.#of(stream, Infinity).length + this.gone);
  }

  records(stream: string, from: number, to: number): Promise<StreamRecord[]> {
    const first = Math.max(from, this.trimmed);
    const all = this.#of(stream, Infinity);
    return Promise.resolve(all.filter(({ seqNum: at }) => at >= first && at < to));
  }

  #of(stream: string, until: number): StreamRecord[] {
    return this.log
      .filter(
        ({ timestamp: at, batch }) => at <= until && decodeBatchHeader(batch).stream === stream,
      )
      .flatMap(({ timestamp: at, batch }) =>
        decodeRecords(batch).map((record) => ({ timestamp: at, record })),
      )
      .map((record, seq) => ({ ...record, seqNum: seq + this.gone }));
  }

  /** Who follows it has stopped by now; another crossbar may still do. */
  close(): void {
    this.closed += 1;
  }
}

export class FakeFollowing implements Following {
  readonly source = 'here';
  readonly #instance: FakeInstance;
  readonly #handlers: FollowHandlers;
  readonly #filter: KeyFilter | null;
  readonly #after: InstancePosition;
  /** Index in the log. */
  #next = 0;
  #open = true;
  paused = false;

  constructor(
    instance: FakeInstance,
    after: InstancePosition,
    { handlers, filter }: { handlers: FollowHandlers; filter: KeyFilter | null },
  ) {
    this.#instance = instance;
    this.#after = after;
    this.#handlers = handlers;
    this.#filter = filter;
  }

  /** Up to `most` deliveries that the watermark covers; false: none, it is paused or at the end. */
  deliver(most: number): boolean {
    if (!this.#open || this.paused) return false;
    const items: Delivery[] = [];
    while (items.length < most) {
      const item = this.#instance.log[this.#next];
      if (item === undefined || item.timestamp > this.#instance.reached) break;
      if (this.#wants(item)) items.push(item);
      this.#next += 1;
    }
    if (items.length > 0) this.#handlers.batches(encodeDeliveries(items));
    return items.length > 0;
  }

  /** Tells the watermark if everything up to it has been delivered. */
  progress(): void {
    const item = this.#instance.log[this.#next];
    if (!this.#open || this.paused) return;
    if (item !== undefined && item.timestamp <= this.#instance.reached) return;
    this.#handlers.progress(this.#instance.reached);
  }

  /** Says what no instance should. */
  claim(items: readonly Delivery[]): void {
    this.#handlers.batches(encodeDeliveries(items));
  }

  /** Says that records are missing. */
  miss(gap: InstanceGap): void {
    this.#handlers.gap(gap);
  }

  #wants({ timestamp: at, recordOffset, batch }: Delivery): boolean {
    const { timestamp: from, recordOffset: offset } = this.#after;
    if (at < from || (at === from && recordOffset <= offset)) return false;
    const filter = this.#filter;
    return filter === null || decodeRecords(batch).some(({ key }) => filter.matches(key));
  }

  fail(error = new MeridianError('UNAVAILABLE', 'no replica answers')): void {
    if (!this.#open) return;
    this.stop();
    this.#handlers.failed(error);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  stop(): void {
    this.#open = false;
    const index = this.#instance.followings.indexOf(this);
    if (index >= 0) this.#instance.followings.splice(index, 1);
  }
}

/** Records what it is sent; takes `room` messages off the sender's hands and then none until `drain`. */
export class FakeStream implements ResponseStream {
  closed = false;
  error: unknown = null;
  room: number;
  readonly messages: SubscribeResponse['message'][] = [];
  readonly #waiting: (() => void)[] = [];
  #onClose: () => void = () => undefined;

  constructor(room = Infinity) {
    this.room = room;
  }

  write(message: SubscribeResponse, sent: () => void): boolean {
    this.messages.push(message.message);
    this.#waiting.push(sent);
    this.#take();
    return true;
  }

  onClose(callback: () => void): void {
    this.#onClose = callback;
    if (this.closed) callback();
  }

  fail(error: unknown): void {
    this.error = error;
    if (this.#waiting.length === 0) this.close();
  }

  drain(room: number): void {
    this.room = room;
    this.#take();
  }

  /** The client goes away. */
  close(): void {
    this.closed = true;
    this.#onClose();
  }

  #take(): void {
    while (this.room > 0) {
      const sent = this.#waiting.shift();
      if (sent === undefined) break;
      this.room -= 1;
      sent();
    }
    if (this.error !== null && !this.closed && this.#waiting.length === 0) this.close();
  }

  get deliveries(): Delivery[] {
    return this.messages.flatMap((message) =>
      message.case === 'batches' ? decodeDeliveries(message.value.frames) : [],
    );
  }

  /** Deliveries, and gaps in words. */
  get story(): string[] {
    return this.messages.flatMap((message) => {
      if (message.case === 'batches') {
        return decodeDeliveries(message.value.frames).map(
          ({ timestamp, instance, recordOffset }) => `${timestamp}/${instance}/${recordOffset}`,
        );
      }
      if (message.case !== 'gap') return [];
      const { kind, instance, fromTimestamp, toTimestamp } = message.value;
      return [
        `${kind === Gap_Kind.TRIMMED ? 'trimmed' : 'lost'} ${instance} ${fromTimestamp}-${toTimestamp}`,
      ];
    });
  }

  get watermarks(): number[] {
    return this.messages.flatMap((message) =>
      message.case === 'progress' ? [Number(message.value.watermark)] : [],
    );
  }

  get cursor(): Uint8Array {
    const last = this.messages.at(-1);
    return last?.case === undefined ? new Uint8Array() : last.value.cursor;
  }
}
