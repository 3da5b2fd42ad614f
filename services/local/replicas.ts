/** What the replicas of an instance say of themselves, for the check: are they level and equal? */
import { setTimeout as pause } from 'node:timers/promises';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { CLUSTER, INSTANCES, REGIONS } from './topology.ts';
import type { Instance, Ports } from './topology.ts';

const DEADLINE_MS = 1_000;
const POLL_MS = 50;

interface ReplicaState {
  readonly voting: boolean;
  readonly watermark: number;
  readonly releasedEntries: number;
  readonly releaseHash: string;
}

export class Replicas {
  readonly #channels: Readonly<Record<Instance, readonly Channel[]>>;

  constructor(ports: Ports) {
    const open = (instance: Instance): Channel[] =>
      REGIONS.map((region) => connect(`127.0.0.1:${String(ports[region].journal[instance])}`));
    this.#channels = { one: open('one'), two: open('two') };
  }

  /**
   * Returns when every replica votes and has released everything up to where the furthest was at the
   * time of the call. Never, when one does not come back: the caller has a deadline.
   */
  async level(): Promise<void> {
    const goals = await Promise.all(
      INSTANCES.map(async (instance) => {
        const states = await this.#states(instance);
        return Math.max(...states.map((state) => state?.watermark ?? 0));
      }),
    );
    await Promise.all(
      INSTANCES.map((instance, i) =>
        this.#until(instance, (state) => state.voting && state.watermark >= (goals[i] ?? 0)),
      ),
    );
  }

  /** Instances whose replicas released different entries; nothing may be appended meanwhile. */
  async diverged(): Promise<Instance[]> {
    const different: Instance[] = [];
    for (const instance of INSTANCES) {
      const states = await this.#states(instance);
      const first = states[0];
      const equal = states.every(
        (state) =>
          state !== null &&
          state.releasedEntries === first?.releasedEntries &&
          state.releaseHash === first.releaseHash,
      );
      if (!equal) different.push(instance);
    }
    return different;
  }

  close(): void {
    for (const channel of INSTANCES.flatMap((instance) => this.#channels[instance])) {
      channel.close();
    }
  }

  async #until(instance: Instance, holds: (state: ReplicaState) => boolean): Promise<void> {
    for (;;) {
      const states = await this.#states(instance);
      if (states.every((state) => state !== null && holds(state))) return;
      await pause(POLL_MS);
    }
  }

  #states(instance: Instance): Promise<(ReplicaState | null)[]> {
    return Promise.all(
      this.#channels[instance].map(async (channel) => {
        try {
          const status = await channel.unary(
            JournalService.method.status,
            { target: { cluster: CLUSTER, instance } },
            { deadlineMs: DEADLINE_MS },
          );
          return {
            voting: status.voting,
            watermark: Number(status.watermark),
            releasedEntries: Number(status.releasedEntries),
            releaseHash: status.releaseHash,
          };
        } catch {
          return null;
        }
      }),
    );
  }
}
