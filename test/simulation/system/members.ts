/**
 * Instances that join and leave in the middle of a run, by records in the journal of the first one, as `meridian
 * instances` appends them. `Steward` is who appends; `Membership` says, from the registry's own order and not from
 * anything that crossbars make of it, what each instance counts for. Retirement is left out: an instance that leaves goes on
 * taking appends, and those behind the change are of no order.
 */
import { MEMBERS_STREAM, encodeMemberRecord } from '../../../libs/frames/member-record.ts';
import type { MemberRecord } from '../../../libs/frames/member-record.ts';
import type { RecordInput } from '../../../libs/frames/record.ts';
import type { Cluster } from '../cluster.ts';
import type { Operation } from '../operations.ts';
import type { Prng } from '../prng.ts';
import type { Scheduler } from '../scheduler.ts';
import type { ClientOfRun } from '../workload.ts';

/** The others join. */
export const FOUNDERS = 2;
/** It is asked of one replica after the other until it is answered, microseconds. */
const AGAIN = 700_000;

export interface MemberPlan {
  /** When the third instance joins, and the second leaves, microseconds; null: it stays. */
  readonly joinAt: number;
  readonly leaveAt: number | null;
}

interface Change {
  readonly kind: 'join' | 'leave';
  /** Index of the instance. */
  readonly instance: number;
  /** It counts up to here at least, where it leaves. */
  readonly end: number;
}

export const nameOf = (instance: number): string => `instance-${instance + 1}`;

/** Of the operations that are such changes; all others have records that say nothing. */
const changes = new WeakMap<Operation, Change>();
const records = new WeakMap<Operation, RecordInput>();

export function changeOf(operation: Operation): Change | null {
  return changes.get(operation) ?? null;
}

export function memberRecordOf(operation: Operation): RecordInput | null {
  return records.get(operation) ?? null;
}

export class Steward implements ClientOfRun {
  /** Changes that are acknowledged, with their places. */
  readonly made: (Change & { readonly at: number })[] = [];
  private readonly clusters: readonly Cluster[];
  private readonly scheduler: Scheduler;
  private readonly prng: Prng;
  private readonly id: number;
  private asked: Operation | null = null;
  private left: number | null = null;

  constructor(clusters: readonly Cluster[], scheduler: Scheduler, prng: Prng) {
    this.clusters = clusters;
    this.scheduler = scheduler;
    this.prng = prng;
    const { clients } = this.registry.workload;
    this.id = clients.length;
    clients.push(this);
  }

  start({ joinAt, leaveAt }: MemberPlan): void {
    this.scheduler.at(joinAt, () => {
      this.begin({ kind: 'join', instance: FOUNDERS, end: 0 });
    });
    if (leaveAt === null) return;
    this.scheduler.at(leaveAt, () => {
      const leaving = FOUNDERS - 1;
      const end = this.clusters[leaving]?.checkers.session.acknowledged ?? 0;
      this.left = end;
      this.begin({ kind: 'leave', instance: leaving, end });
    });
  }

  /** Of an instance: the part of what it has acknowledged that is certainly in the order. */
  counted(instance: number, acknowledged: number): number {
    if (instance === FOUNDERS - 1) return Math.min(acknowledged, this.left ?? Infinity);
    if (instance < FOUNDERS) return acknowledged;
    const joined = this.made.find((change) => change.instance === instance);
    return joined !== undefined && acknowledged > joined.at ? acknowledged : 0;
  }

  get idle(): boolean {
    return this.asked === null;
  }

  appended({ operation }: { readonly operation: Operation }): void {
    const change = changeOf(operation);
    if (change === null || this.asked !== operation) return;
    this.asked = null;
    this.registry.workload.finish(operation, 'ok');
    this.made.push({ ...change, at: operation.effectiveTimestamp });
  }

  refused(): void {
    // It is asked again anyway.
  }

  readDone(): void {
    // It reads nothing.
  }

  crashed(): void {
    // As where it was refused.
  }

  private begin(change: Change): void {
    // A run that is over earlier has no such change.
    if (this.asked !== null || this.registry.workload.closed) return;
    const operation = this.registry.workload.operation({
      client: this.id,
      ack: 'ORDERED',
      bytes: 500,
      batch: {
        stream: MEMBERS_STREAM,
        recordCount: 1,
        writer: { id: `steward-${change.kind}`, epoch: 1, seq: 1, previous: 0 },
        matchSeqNum: null,
        fencingToken: null,
      },
    });
    changes.set(operation, change);
    records.set(operation, encodeMemberRecord(this.recordOf(change)));
    this.asked = operation;
    this.ask(operation, change.end);
  }

  private recordOf({ kind, instance }: Change): MemberRecord {
    const founders = Array.from({ length: FOUNDERS }, (_, i) => ({
      number: i + 1,
      name: nameOf(i),
    }));
    const place = (region: string): MemberRecord['replicas'][number] => ({
      region,
      address: `${region}:1`,
    });
    const replicas = kind === 'join' ? ['region-0', 'region-1', 'region-2'].map(place) : [];
    const history = this.made.map((made) => ({
      kind: made.kind,
      instance: made.instance + 1,
      name: nameOf(made.instance),
      replicas: ['region-0', 'region-1', 'region-2'].map(place),
      timestamp: made.at,
    }));
    return { kind, instance: instance + 1, name: nameOf(instance), replicas, founders, history };
  }

  private ask(operation: Operation, minTimestamp: number): void {
    if (this.asked !== operation) return;
    const { replicas, workload } = this.registry;
    const replica = this.prng.pick(replicas);
    if (replica.running) {
      const session = { ...workload.session(this.id, replica.id), life: replica.life };
      replica.submit(workload.attempt(operation, session, minTimestamp));
    }
    this.scheduler.after(AGAIN, () => {
      this.ask(operation, minTimestamp);
    });
  }

  private get registry(): Cluster {
    const [registry] = this.clusters;
    if (registry === undefined) throw new RangeError('there is an instance');
    return registry;
  }
}
