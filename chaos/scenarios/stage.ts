/**
 * What a scenario's schedule acts on: the cluster, its faults, and demands on what happens meanwhile. Writes
 * every fault into the history, remembers what is not healed yet, and collects demands; whether they
 * were met is decided when the history is complete (demands.ts).
 */
import type { Cluster } from '../cluster/cluster.ts';
import type { Network } from '../cluster/network.ts';
import type { Region } from '../cluster/wide-area.ts';
import { REGIONS } from '../cluster/wide-area.ts';
import type { Fault } from '../faults/fault.ts';
import { allOf, pause } from '../faults/fault.ts';
import type { Recorder } from '../model/recorder.ts';
import type { Random } from '../random.ts';
import type { Kind, Span } from '../traffic/gaps.ts';
import { untilVoting } from './healing.ts';
import { Liveness } from './liveness.ts';

/** In these regions no gap of that kind may be longer while the span lasts. */
export interface GapDemand extends Span {
  readonly kind: Kind;
  readonly regions: readonly Region[];
  readonly gapMsMax: number;
  readonly during: string;
}

export interface StageOptions {
  readonly cluster: Cluster;
  readonly record: Recorder;
  readonly random: Random;
  readonly onEvent: (text: string) => void;
}

/** A small busy machine stalls now and then; whoever is not affected must still go on within this. */
export const GOES_ON_MS = 5_000;
const VOTING_MS = 30_000;
const LIVE_MS = 20_000;

export class Stage {
  readonly cluster: Cluster;
  readonly random: Random;
  /** What went wrong while it went wrong, in sentences. */
  readonly failures: string[] = [];
  readonly gapDemands: GapDemand[] = [];
  readonly #record: Recorder;
  readonly #onEvent: (text: string) => void;
  readonly #liveness: Liveness;
  readonly #active = new Map<Fault, () => void>();

  constructor({ cluster, record, random, onEvent }: StageOptions) {
    this.cluster = cluster;
    this.random = random;
    this.#record = record;
    this.#onEvent = onEvent;
    this.#liveness = new Liveness(record);
  }

  get network(): Network {
    return this.cluster.network;
  }

  /** Resolves when it has taken hold. */
  async begin(fault: Fault): Promise<void> {
    this.#onEvent(`${fault.name}: ${fault.target}`);
    this.#active.set(fault, this.#record.fault(fault.name, fault.target));
    await fault.inject();
  }

  /** Resolves when it is gone; nothing, when it is not there. */
  async end(fault: Fault): Promise<void> {
    const over = this.#active.get(fault);
    if (over === undefined) return;
    this.#active.delete(fault);
    await fault.heal();
    this.#onEvent(`healed ${fault.name}: ${fault.target}`);
    over();
  }

  /**
   * The fault for so long, then healed. `goOn`: regions whose clients must keep appending (default none)
   * without a longer pause than `gapMsMax`.
   */
  async during(
    fault: Fault,
    ms: number,
    goOn: { readonly regions: readonly Region[]; readonly gapMsMax?: number } = { regions: [] },
  ): Promise<void> {
    const fromUs = this.#record.nowUs();
    await this.begin(fault);
    await pause(ms);
    const untilUs = this.#record.nowUs();
    if (goOn.regions.length > 0) {
      this.gapDemands.push({
        kind: 'append',
        regions: goOn.regions,
        gapMsMax: goOn.gapMsMax ?? GOES_ON_MS,
        during: fault.name,
        fromUs,
        untilUs,
      });
    }
    await this.end(fault);
  }

  /** Something that is a fault while it lasts and needs no healing. */
  async mark(name: string, target: string, act: () => Promise<void>): Promise<void> {
    this.#onEvent(`${name}: ${target}`);
    const over = this.#record.fault(name, target);
    try {
      await act();
    } finally {
      over();
    }
  }

  pause(ms: number): Promise<void> {
    return pause(ms);
  }

  /** Every fault that is still there, newest first. */
  async healAll(): Promise<void> {
    await allOf([...this.#active.keys()].reverse().map((fault) => () => this.end(fault)));
  }

  /** Epochs of all lanes, as the replica in `from` knows them. */
  async epochs(from: Region): Promise<string> {
    const status = await Promise.all(
      this.cluster.layout.instances.map((instance) => this.cluster.status(instance, from)),
    );
    return status
      .flatMap(({ lanes }) => lanes.map(({ lane, epoch, writer }) => `${lane}:${epoch}:${writer}`))
      .join(' ');
  }

  /** The act changes no epoch: nothing is sealed, no lane's writer is replaced (I22). */
  async withoutEpochChange(act: () => Promise<void>): Promise<void> {
    const before = await this.epochs('a');
    await act();
    const after = await this.epochs('a');
    if (before !== after) this.failures.push(`epochs changed from ${before} to ${after}`);
  }

  /** Clients of every region succeed again: what follows is measured by itself. */
  async settle(): Promise<void> {
    const dead = await this.#liveness.missing(LIVE_MS);
    if (dead.length === 0) return;
    const where = dead.join(', ');
    this.failures.push(`no append succeeded in ${where} for ${String(LIVE_MS)} ms without a fault`);
  }

  /** Every replica votes (again): what follows is a single fault, and not a second one. */
  async untilVoting(): Promise<void> {
    const problem = await untilVoting(this.cluster, VOTING_MS);
    if (problem !== null) this.failures.push(problem);
  }

  anyRegion(): Region {
    return this.random.pick(REGIONS);
  }
}
