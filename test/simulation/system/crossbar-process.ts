/**
 * A crossbar as a process that starts, dies and stands still: the code of services/crossbar over the client library,
 * which reads the replicas through simulated lines. Nothing of it survives its death, as nothing of a real one does.
 */
import type { Message } from '@bufbuild/protobuf';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { Journal } from '../../../libs/client/journal.ts';
import { Crossbar } from '../../../services/crossbar/crossbar.ts';
import type { CrossbarSettings, SubscribeWish } from '../../../services/crossbar/crossbar.ts';
import type { Instance } from '../../../services/crossbar/instance.ts';
import { instanceOf } from '../../../services/crossbar/journal-instance.ts';
import { EPOCH_MICROS } from '../clocks.ts';
import type { Trace } from '../trace.ts';
import { FOUNDERS, nameOf } from './members.ts';
import { CLUSTER } from './replica-side.ts';
import type { SystemBug } from './system-bugs.ts';
import { spoiled, spoiledJoiner } from './spoiled-instance.ts';
import type { Calls, Line, Server, Service } from './virtual-calls.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface CrossbarProcessOptions {
  readonly number: number;
  readonly time: VirtualTime;
  readonly calls: Calls;
  readonly trace: Trace;
  /** To the replicas of each instance, the nearest first. */
  readonly lines: readonly (readonly Line[])[];
  readonly settings: CrossbarSettings;
  readonly silenceMs: number;
  readonly bug: SystemBug | null;
}

export class CrossbarProcess implements Server {
  readonly number: number;
  paused = false;
  private readonly options: CrossbarProcessOptions;
  private crossbar: Crossbar | null = null;
  /** null: there is no process. */
  service: Service | null = null;
  onCrash: () => void = () => undefined;

  constructor(options: CrossbarProcessOptions) {
    this.number = options.number;
    this.options = options;
  }

  get running(): boolean {
    return this.crossbar !== null;
  }

  get watermark(): number {
    return this.crossbar?.watermark ?? 0;
  }

  start(): void {
    const { time, lines, settings, bug, trace, number } = this.options;
    if (this.crossbar !== null) return;
    trace.note('crossbar', number, 1);
    const instances = lines.slice(0, FOUNDERS).map((replicas, i) => this.instance(i + 1, replicas));
    const crossbar = new Crossbar({
      cluster: CLUSTER,
      instances: bug === null ? instances : spoiled(instances, bug, time),
      connect: ({ number, name }) => {
        const replicas = lines[number - 1];
        if (replicas === undefined) throw new Error(`${name} has joined, and there is no such`);
        const joined = this.instance(number, replicas);
        return bug === null ? joined : spoiledJoiner(joined, bug);
      },
      settings,
      now: () => time.now / 1000,
      wall: () => EPOCH_MICROS + time.now,
      onTrouble: () => undefined,
      onFatal: (error) => {
        time.fail(error);
      },
      onReady: () => undefined,
    });
    this.crossbar = crossbar;
    this.service = {
      stream: (_method, request, stream) => {
        const wish = request as unknown as SubscribeWish;
        crossbar.subscribe(wish, stream);
      },
      unary: (method, request) => this.unary(crossbar, method, request),
    };
    crossbar.start();
  }

  crash(): void {
    const { crossbar } = this;
    if (crossbar === null) return;
    this.options.trace.note('crossbar', this.number, 0);
    this.crossbar = null;
    this.service = null;
    this.paused = false;
    this.onCrash();
    crossbar.stop();
  }

  private instance(number: number, lines: readonly Line[]): Instance {
    const { calls, silenceMs } = this.options;
    const name = nameOf(number - 1);
    const regions = lines.map((_, i) => `region-${i}`);
    const replicas = regions.map((region) => ({ region, address: region }));
    const journal = new Journal(
      { cluster: CLUSTER, instance: name, replicas, deadlineMs: 5_000, silenceMs },
      (address) => {
        const line = lines[regions.indexOf(address)];
        if (line === undefined) throw new Error(`no line to ${address}`);
        return calls.channel(address, line);
      },
    );
    return instanceOf(journal, { name, number, regions });
  }

  private async unary(crossbar: Crossbar, method: string, request: Message): Promise<object> {
    if (method === 'Heartbeat') {
      const { cluster, waitForWatermark } = request as Message & {
        cluster: string;
        waitForWatermark: boolean;
      };
      const answer = await crossbar.heartbeat(cluster, waitForWatermark);
      const { readPoint, watermark, cursor } = answer;
      return { readPoint: BigInt(readPoint), watermark: BigInt(watermark), cursor };
    }
    if (method === 'Status') {
      return { cluster: CLUSTER, watermark: BigInt(crossbar.watermark) };
    }
    throw new MeridianError('REFUSED', `nobody asks for ${method} here`);
  }
}
