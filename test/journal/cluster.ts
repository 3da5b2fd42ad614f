/**
 * Three real replica processes on loopback, for the tests of the replica service. Talks to them with
 * the bare protocol and not with the client library, whose retries would hide what is tested here.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { MeridianError } from '../../libs/errors/errors.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { decodeBatchHeader, decodeRecords, encodeBatch } from '../../libs/frames/batch.ts';
import type { BatchInput } from '../../libs/frames/batch.ts';
import {
  Ack,
  AppendRequestSchema,
  JournalService,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendRun,
  ReadProgress,
  ReadRequestSchema,
  StatusResponseSchema,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { makeLog } from '../../services/journal/recovery.ts';

const MAIN = fileURLToPath(new URL('../../dist/services/journal/main.js', import.meta.url));
const PRELOAD = new URL('../../chaos/faults/preload/', import.meta.url).href;
export const TARGET = { cluster: 'test', instance: 'one' };
export const DEADLINE_MS = 60_000;

export class Cluster {
  readonly directory = mkdtempSync(join(tmpdir(), 'meridian-journal-'));
  readonly #children: (Child | null)[] = [null, null, null];
  readonly #channels = new Map<number, Channel>();
  readonly overrides: Record<string, unknown> = {};
  /** Modules to load into the replicas before their own code, from `chaos/faults/preload/`. */
  readonly preloads: string[] = [];
  /** Added to the environment of every process. */
  readonly env: Record<string, string> = {};
  /** By replica: another build's program than ours. */
  readonly programs = new Map<number, string>();
  clientPorts: number[] = [];
  peerPorts: number[] = [];

  async start(): Promise<void> {
    const ports = await reservePorts(6);
    this.clientPorts = ports.slice(0, 3);
    this.peerPorts = ports.slice(3);
    releasePorts(ports);
    await this.beforeStart();
    await Promise.all([0, 1, 2].map((replica) => this.format(replica)));
    await Promise.all([0, 1, 2].map((replica) => this.startReplica(replica)));
  }

  /** The ports are known, nothing runs yet. */
  protected beforeStart(): Promise<void> {
    return Promise.resolve();
  }

  /** Where `caller` reaches `callee`. */
  protected peerAddress(_caller: number, callee: number): string {
    return `127.0.0.1:${this.peerPorts[callee]}`;
  }

  configOf(replica: number): Record<string, unknown> {
    return {
      ...TARGET,
      replica,
      region: `r${replica}`,
      dataDirectory: this.dataOf(replica),
      listen: `127.0.0.1:${this.clientPorts[replica]}`,
      peerListen: `127.0.0.1:${this.peerPorts[replica]}`,
      peers: [0, 1, 2]
        .filter((other) => other !== replica)
        .map((other) => ({
          replica: other,
          region: `r${other}`,
          address: this.peerAddress(replica, other),
        })),
      ...this.overrides,
    };
  }

  dataOf(replica: number): string {
    return join(this.directory, `data-${replica}`);
  }

  /** What the command `format` does, without a process for it; bad-input.test.ts tests the command. */
  format(replica: number): Promise<void> {
    const { cluster, instance } = { ...TARGET, ...this.overrides };
    return makeLog({
      directory: this.dataOf(replica),
      identity: { cluster, instance, replica, generation: 1 },
      self: replica as ReplicaId,
      incarnation: Date.now() * 1000,
      voting: true,
    });
  }

  /** Starts a process with this configuration, whatever becomes of it. */
  async spawn(command: readonly string[], config: Record<string, unknown>): Promise<Child> {
    const program = this.programs.get(Number(config['replica'])) ?? MAIN;
    const file = join(this.directory, `config-${Math.random().toString(36).slice(2)}.yaml`);
    writeFileSync(file, JSON.stringify(config));
    return spawnChild({
      name: `journal-${String(config['replica'])}`,
      command: process.execPath,
      args: [...this.#preloadArguments(), program, ...command, '--config', file],
      env: { ...this.env, MERIDIAN_TEST_REPLICA: String(config['replica']) },
    });
  }

  #preloadArguments(): string[] {
    return this.preloads.flatMap((name) => ['--import', `${PRELOAD}${name}`]);
  }

  async startReplica(replica: number): Promise<void> {
    const child = await this.spawn([], this.configOf(replica));
    this.#children[replica] = child;
    await child.ready({ line: /"msg":"serving"/ }, DEADLINE_MS);
  }

  /** Starts it without waiting until it serves. */
  async launch(replica: number): Promise<Child> {
    const child = await this.spawn([], this.configOf(replica));
    this.#children[replica] = child;
    return child;
  }

  child(replica: number): Child {
    const child = this.#children[replica];
    if (child == null) throw new Error(`replica ${replica} was never started`);
    return child;
  }

  async kill(replica: number): Promise<void> {
    await this.child(replica).kill();
  }

  channel(replica: number): Channel {
    let channel = this.#channels.get(replica);
    if (channel === undefined) {
      channel = connect(`127.0.0.1:${this.clientPorts[replica]}`);
      this.#channels.set(replica, channel);
    }
    return channel;
  }

  /** One append after the other, so that each is an entry of its own; `bodyOf` counts from 1. */
  async appendEach(replica: number, count: number, bodyOf: (i: number) => string): Promise<void> {
    const session = new RawSession(this.channel(replica));
    for (let i = 1; i <= count; i += 1) {
      session.send('s', bodyOf(i));
      await session.whenAnswered(i);
    }
    session.end();
  }

  status(replica: number): Promise<MessageShape<typeof StatusResponseSchema>> {
    const options = { deadlineMs: 5000 };
    return this.channel(replica).unary(JournalService.method.status, { target: TARGET }, options);
  }

  /** Waits until the replicas have released the same, and returns how many entries that is. */
  async converged(): Promise<bigint> {
    let entries = 0n;
    await until(async () => {
      const all = await Promise.all([0, 1, 2].map((replica) => this.status(replica)));
      const hashes = new Set(all.map((one) => `${one.releasedEntries} ${one.releaseHash}`));
      const seals = all.flatMap((one) => one.lanes.filter((lane) => lane.lane !== lane.writer));
      entries = all[0]?.releasedEntries ?? 0n;
      return hashes.size === 1 && seals.length === 0;
    });
    return entries;
  }

  async stop(): Promise<void> {
    for (const channel of this.#channels.values()) channel.close();
    for (const child of this.#children) await child?.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Asks again until true; what it throws counts as not yet. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  let last: unknown = 'it stayed false';
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error('did not become true in time', { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** An append session in the bare protocol. */
export class RawSession {
  readonly runs: AppendRun[] = [];
  readonly ended: Promise<MeridianError | null>;
  answered = 0;
  error: MeridianError | null | undefined;
  readonly #write: (frames: Uint8Array) => void;
  readonly #end: () => void;
  /** Called after every message of answers. */
  onAnswer: () => void = () => undefined;
  #onAnswer: () => void = () => undefined;

  constructor(channel: Channel, ack: Ack = Ack.ORDERED, target: typeof TARGET = TARGET) {
    let resolveEnd: (error: MeridianError | null) => void = () => undefined;
    this.ended = new Promise((resolve) => {
      resolveEnd = resolve;
    });
    const stream = channel.bidi(JournalService.method.append, {
      onMessage: ({ message }) => {
        if (message.case !== 'outcomes') return;
        for (const run of message.value.runs) {
          this.runs.push(run);
          this.answered += run.count;
        }
        this.onAnswer();
        this.#onAnswer();
      },
      onEnd: (error) => {
        this.error = error;
        resolveEnd(error);
        this.#onAnswer();
      },
    });
    const hello = { case: 'hello' as const, value: { target, ack } };
    stream.write(create(AppendRequestSchema, { message: hello }));
    this.#write = (frames) => {
      stream.write(
        create(AppendRequestSchema, { message: { case: 'batches', value: { frames } } }),
      );
    };
    this.#end = () => {
      stream.end();
    };
  }

  sendFrames(frames: Uint8Array): void {
    this.#write(frames);
  }

  send(stream: string, ...bodies: string[]): void {
    this.sendFrames(Buffer.concat(bodies.map((body) => batchOf(stream, body))));
  }

  end(): void {
    this.#end();
  }

  /** Resolves when `count` appends are answered; rejects when the session ended before. */
  whenAnswered(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onAnswer = () => {
        if (this.answered >= count) resolve();
        else if (this.error !== undefined) reject(this.error ?? new Error('ended'));
      };
      this.#onAnswer();
    });
  }
}

export function batchOf(stream: string, body: string, more: Partial<BatchInput> = {}): Uint8Array {
  return encodeBatch({ stream, records: [{ body: Buffer.from(body) }], ...more });
}

export interface ReadResult {
  /** `timestamp stream#seq body` of every record. */
  readonly lines: string[];
  readonly bodies: string[];
  readonly progress: ReadProgress[];
}

/** Reads to the end; rejects with the error of the call. */
export function readAll(
  channel: Channel,
  request: Omit<MessageInitShape<typeof ReadRequestSchema>, '$typeName'> = {},
): Promise<ReadResult> {
  return new Promise((resolve, reject) => {
    const result: ReadResult = { lines: [], bodies: [], progress: [] };
    channel.serverStream(
      JournalService.method.read,
      { target: TARGET, ...request },
      {
        onMessage: ({ message }) => {
          if (message.case === 'progress') result.progress.push(message.value);
          if (message.case !== 'batches') return;
          if (message.value.progress !== undefined) result.progress.push(message.value.progress);
          for (const { batch, timestamp, firstSeqNum } of decodeDeliveries(message.value.frames)) {
            const { stream } = decodeBatchHeader(batch);
            decodeRecords(batch).forEach((record, i) => {
              const body = Buffer.from(record.body).toString();
              result.lines.push(`${timestamp} ${stream}#${firstSeqNum + i} ${body}`);
              result.bodies.push(body);
            });
          }
        },
        onEnd: (error) => {
          if (error === null) resolve(result);
          else reject(error);
        },
      },
    );
  });
}

/** The order as every replica sees it once its watermark covers everything acknowledged so far. */
export async function readSettled(cluster: Cluster, replica: number): Promise<ReadResult> {
  const channel = cluster.channel(replica);
  await channel.unary(
    JournalService.method.heartbeat,
    { target: TARGET, waitForWatermark: true },
    { deadlineMs: DEADLINE_MS },
  );
  return readAll(channel);
}
