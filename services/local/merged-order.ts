/**
 * Follows the merged order at every region's crossbar from the beginning and compares: every region
 * must deliver the same records in the same order, each once, none at or below a watermark that was
 * announced before it, and none may be missing: a gap is a problem, whatever it is due to. A crossbar that
 * goes away is followed again from the cursor.
 */
import { crc32 } from 'node:zlib';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { CrossbarService, Gap_Kind } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { Gap, SubscribeResponse } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel, ReadStream } from '../../libs/rpc/rpc.ts';
import type { Ports, Region } from './topology.ts';
import { CLUSTER, REGIONS } from './topology.ts';

const RETRY_MS = 200;
const HEARTBEAT_MS = 10_000;
const DIFFERENCES_MAX = 5;

/** One batch: where it stands and what is in it. */
export interface Delivered {
  readonly place: string;
  readonly checksum: number;
  readonly stream: string;
  readonly records: number;
}

/** What one crossbar delivered. */
export class OrderRecorder {
  readonly name: string;
  readonly batches: Delivered[] = [];
  readonly problems: string[] = [];
  #watermark = 0;
  #last = '';

  constructor(name: string) {
    this.name = name;
  }

  get watermark(): number {
    return this.#watermark;
  }

  get records(): number {
    return this.batches.reduce((sum, { records }) => sum + records, 0);
  }

  recordsOf(stream: string): number {
    const batches = this.batches.filter((batch) => batch.stream === stream);
    return batches.reduce((sum, { records }) => sum + records, 0);
  }

  progress(watermark: number): void {
    if (watermark < this.#watermark)
      this.#problem(`the watermark went back to ${String(watermark)}`);
    this.#watermark = watermark;
  }

  /** Nothing was trimmed here, so records that cannot be had are records that were lost. */
  miss({ kind, instance, fromTimestamp, toTimestamp }: Gap): void {
    const what = kind === Gap_Kind.TRIMMED ? 'trimmed' : 'lost';
    this.#problem(
      `records of instance ${instance} from ${String(fromTimestamp)} to ${String(toTimestamp)} are ${what}`,
    );
  }

  /** One message of a subscription. */
  receive({ message }: SubscribeResponse): void {
    switch (message.case) {
      case 'batches':
        this.deliver(message.value.frames);
        return;
      case 'progress':
        this.progress(Number(message.value.watermark));
        return;
      case 'gap':
        this.miss(message.value);
        return;
      case undefined:
        this.#problem('a message of a kind that is not known here');
    }
  }

  deliver(frames: Uint8Array): void {
    for (const { timestamp, instance, recordOffset, batch } of decodeDeliveries(frames)) {
      const place = placeOf(timestamp, instance, recordOffset);
      if (place <= this.#last) this.#problem(`${place} came after ${this.#last}`);
      if (timestamp <= this.#watermark) {
        this.#problem(`${place} came after the watermark ${String(this.#watermark)}`);
      }
      this.#last = place;
      const { stream, recordCount } = decodeBatchHeader(batch);
      this.batches.push({ place, checksum: crc32(batch), stream, records: recordCount });
    }
  }

  #problem(what: string): void {
    if (this.problems.length < DIFFERENCES_MAX)
      this.problems.push(`crossbar ${this.name}: ${what}`);
  }
}

/** What differs between the first and each other one, in words. */
export function compareOrders(recorders: readonly OrderRecorder[]): string[] {
  const [first, ...others] = recorders;
  if (first === undefined) return [];
  return [
    ...recorders.flatMap(({ problems }) => problems),
    ...others.flatMap((other) => {
      const length = Math.max(first.batches.length, other.batches.length);
      for (let i = 0; i < length; i++) {
        const [a, b] = [first.batches[i], other.batches[i]];
        if (a?.place === b?.place && a?.checksum === b?.checksum) continue;
        return [
          `batch ${String(i)} of the merged order is ${a?.place ?? 'missing'} in ${first.name}, ` +
            `${b?.place ?? 'missing'} in ${other.name}`,
        ];
      }
      return [];
    }),
  ];
}

export class MergedOrders {
  readonly recorders: readonly OrderRecorder[];
  readonly #followers: readonly Follower[];

  constructor(ports: Ports) {
    this.#followers = REGIONS.map((region) => new Follower(region, ports[region].crossbar));
    this.recorders = this.#followers.map(({ recorder }) => recorder);
  }

  /** Returns when every crossbar has delivered everything that was completed before the call. */
  async settle(): Promise<void> {
    const readPoints = await Promise.all(this.#followers.map((follower) => follower.readPoint()));
    const target = Math.max(...readPoints);
    await Promise.all(this.#followers.map((follower) => follower.reached(target)));
  }

  close(): void {
    for (const follower of this.#followers) follower.close();
  }
}

class Follower {
  readonly recorder: OrderRecorder;
  readonly #channel: Channel;
  #stream: ReadStream | null = null;
  #cursor: Uint8Array = new Uint8Array();
  #retry: NodeJS.Timeout | null = null;
  #onProgress: () => void = () => undefined;

  constructor(region: Region, port: number) {
    this.recorder = new OrderRecorder(region.toUpperCase());
    this.#channel = connect(`127.0.0.1:${String(port)}`);
    this.#follow();
  }

  async readPoint(): Promise<number> {
    const { readPoint } = await this.#channel.unary(
      CrossbarService.method.heartbeat,
      { cluster: CLUSTER },
      { deadlineMs: HEARTBEAT_MS },
    );
    return Number(readPoint);
  }

  reached(target: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onProgress = () => {
        if (this.recorder.watermark >= target) resolve();
      };
      this.#onProgress();
    });
  }

  close(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#stream?.cancel();
    this.#channel.close();
  }

  #follow(): void {
    this.#stream = this.#channel.serverStream(
      CrossbarService.method.subscribe,
      { cluster: CLUSTER, cursor: this.#cursor },
      {
        onMessage: (response) => {
          this.#message(response);
        },
        onEnd: () => {
          this.#retry = setTimeout(() => {
            this.#follow();
          }, RETRY_MS);
        },
      },
    );
  }

  #message(response: SubscribeResponse): void {
    this.recorder.receive(response);
    const { message } = response;
    if (message.value !== undefined) this.#cursor = message.value.cursor.slice();
    this.#onProgress();
  }
}

/** Sorts as text the way the order goes. */
function placeOf(timestamp: number, instance: number, recordOffset: number): string {
  const pad = (value: number, digits: number): string => String(value).padStart(digits, '0');
  return `${pad(timestamp, 16)}.${pad(instance, 5)}.${pad(recordOffset, 10)}`;
}
