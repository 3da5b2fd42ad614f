/** Builders for hand-made histories: entries, attempts and disks as the checkers see them. */
import type { Entry, Packet, Write } from '../../libs/lane/types.ts';
import type { Outcome } from '../../libs/order/types.ts';
import type {
  Epoch,
  Index,
  Micros,
  ReplicaId,
  SeqNum,
  Timestamp,
} from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import { Checkers } from './checkers.ts';
import { Disk } from './disk.ts';
import type { Attempt, Content, Operation, Read, Session } from './operations.ts';
import { drawOptions } from './options.ts';
import { Prng } from './prng.ts';
import { Scheduler } from './scheduler.ts';

const INSTANT = { sync: 0, jitter: 0, stall: 0, stallMax: 0 };

/** Three replicas whose disks, statements and releases a test writes down by hand. */
export class History {
  readonly scheduler = new Scheduler();
  readonly checkers = new Checkers(
    { ...drawOptions(1), single: null, oddClock: null },
    this.scheduler,
  );
  readonly disks = REPLICAS.map(
    (id) => new Disk(id, INSTANT, this.scheduler, new Prng(1, `disk ${id}`), this.checkers, null),
  );
  private numbers = 0;

  constructor() {
    this.checkers.log.attach(this.disks);
    for (const disk of this.disks) disk.open(() => undefined);
  }

  /** Puts writes on a disk, at once. */
  write(replica: ReplicaId, ...writes: readonly Write<Content>[]): void {
    const disk = this.disks[replica];
    if (disk === undefined) throw new RangeError('no such disk');
    for (const write of writes) disk.stage(write);
    disk.commit(++this.numbers);
    this.scheduler.runUntil(this.scheduler.now + 1, () => disk.quiet);
  }

  /** Promised by and written on the given replicas. */
  store(entry: Entry<Content>, ...replicas: readonly ReplicaId[]): void {
    for (const replica of replicas) {
      const promised = this.disks[replica]?.lanes[entry.lane]?.promised ?? 0;
      if (promised < entry.epoch) {
        this.write(replica, { type: 'promise', lane: entry.lane, epoch: entry.epoch });
      }
      this.write(replica, { type: 'entry', entry });
    }
  }

  operation(given: Partial<Operation['batch']> = {}): Operation {
    return {
      id: ++this.numbers,
      client: 0,
      ack: 'ORDERED',
      bytes: 100,
      batch: {
        stream: 's',
        recordCount: 2,
        writer: null,
        matchSeqNum: null,
        fencingToken: null,
        ...given,
      },
      invokedAt: 0,
      serviceable: true,
      result: 'pending',
      effective: null,
      effectiveTimestamp: 0,
      effects: 0,
      attempts: 0,
    };
  }

  attempt(operation: Operation, lane: ReplicaId = 0): Attempt {
    const session: Session = {
      id: 1,
      client: 0,
      replica: lane,
      life: 1,
      closed: false,
      lastRequest: 0,
      lastAnswer: 0,
    };
    const attempt: Attempt = {
      number: ++this.numbers,
      operation,
      session,
      bytes: 100,
      minTimestamp: 0,
      lane,
      floor: 0,
      quorumFloor: 0,
      refused: false,
      submittedAt: 0,
      acknowledged: 0,
      released: 0,
    };
    this.checkers.session.submitted(lane, attempt);
    return attempt;
  }

  read(stream = 's'): Read {
    const read = {
      id: ++this.numbers,
      client: 0,
      stream,
      ackFloor: 0,
      visibleFloor: 0,
      tailFloor: 0,
    };
    this.checkers.session.readInvoked(read);
    return read;
  }

  release(replica: ReplicaId, entry: Entry<Content>, ...outcomes: readonly Outcome[]): void {
    this.checkers.released(replica, entry, outcomes);
  }

  watermark(replica: ReplicaId, watermark: number): void {
    this.checkers.session.watermarkShown(replica, watermark);
  }

  /** A statement of a replica, true in all but what the test changes. */
  packet(
    replica: ReplicaId,
    change: {
      clock?: number;
      promised?: number;
      tail?: { epoch: number; index: number };
      letters?: Packet<Content>['letters'];
    } = {},
  ): Packet<Content> {
    const lanes = REPLICAS.map((lane) => {
      const durable = this.disks[replica]?.lanes[lane];
      const last = durable?.entries.at(-1);
      const tail = { epoch: last?.epoch ?? 0, index: last?.index ?? 0 };
      return {
        promised: (lane === 0
          ? (change.promised ?? durable?.promised)
          : durable?.promised) as Epoch,
        tail: (lane === 0 ? (change.tail ?? tail) : tail) as { epoch: Epoch; index: Index },
        closed: 0 as Timestamp,
        feeder: lane,
        base: { epoch: 0 as Epoch, index: 0 as Index },
      };
    });
    const hears = [true, true, true];
    return {
      status: {
        replica,
        incarnation: 1,
        life: { number: 1, previous: 0, reservation: 0 as Timestamp },
        lives: [1, 1, 1],
        descent: null,
        version: ++this.numbers,
        hears,
        lanes,
        voting: true,
      },
      sentAt: 0 as Micros,
      echo: null,
      wall: 0,
      clock: (change.clock ?? 0) as Timestamp,
      heardThird: 0,
      announcements: [],
      feeds: [],
      relayed: null,
      letters: change.letters ?? [],
    };
  }
}

/** Timestamps are given in slots: slot 5 of lane 1 is 41. */
export function entry(
  lane: ReplicaId,
  index: number,
  slot: number,
  attempts: readonly Attempt[] = [],
  epoch = 8 + lane,
): Entry<Content> {
  return {
    lane,
    epoch: epoch as Epoch,
    index: index as Index,
    timestamp: (slot * 8 + lane) as Timestamp,
    kind: attempts.length === 0 ? 'marker' : 'batches',
    bytes: 100,
    content: attempts,
  };
}

export function appended(of: Entry<Content>, firstSeqNum: number): Outcome {
  return { kind: 'appended', timestamp: of.timestamp, firstSeqNum: firstSeqNum as SeqNum };
}
