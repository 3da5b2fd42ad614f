/**
 * After healing, for one replica: an ORDERED append and a heartbeat read, asked of this replica and
 * no other until both succeed. A client would go elsewhere; the probe wants to know of this one.
 */
import type { Operation } from './operations.ts';
import type { Replica } from './replica.ts';
import type { Scheduler } from './scheduler.ts';
import type { ClientOfRun, Workload } from './workload.ts';

const AGAIN = 500_000;

export class Probe implements ClientOfRun {
  readonly id: number;
  appendDone = false;
  readDoneOnce = false;
  private readonly workload: Workload;
  private readonly replica: Replica;
  private readonly scheduler: Scheduler;
  private readonly operation: Operation;

  constructor(id: number, workload: Workload, replica: Replica, scheduler: Scheduler) {
    this.id = id;
    this.workload = workload;
    this.replica = replica;
    this.scheduler = scheduler;
    this.operation = workload.operation({
      client: id,
      ack: 'ORDERED',
      bytes: 100,
      batch: {
        stream: 'probe',
        recordCount: 1,
        writer: { id: `probe-${replica.id}`, epoch: 1, seq: 1, previous: 0 },
        matchSeqNum: null,
        fencingToken: null,
      },
    });
  }

  get idle(): boolean {
    return this.appendDone && this.readDoneOnce;
  }

  ask(): void {
    const { replica, workload } = this;
    if (this.idle) return;
    if (replica.running) {
      const session = { ...workload.session(this.id, replica.id), life: replica.life };
      if (!this.appendDone) replica.submit(workload.attempt(this.operation, session, 0));
      if (!this.readDoneOnce) replica.read(session, workload.newRead(this.id, 'probe'));
    }
    this.scheduler.after(AGAIN, () => {
      this.ask();
    });
  }

  appended(): void {
    this.appendDone = true;
    this.workload.finish(this.operation, 'ok');
  }

  refused(): void {
    // It is asked again anyway.
  }

  readDone(): void {
    this.readDoneOnce = true;
  }

  crashed(): void {
    // Nothing crashes any more.
  }

  state(): string {
    return `append ${this.appendDone ? 'ok' : 'waits'}, read ${this.readDoneOnce ? 'ok' : 'waits'}`;
  }
}
