/**
 * A client of one instance in one region, each of whose operations is recorded: before anything is sent,
 * and as soon as the answer is there. Owns its connection. What the operations mean is the workload's.
 */
import { connectJournal } from '../../libs/client/client.ts';
import type { AppendResult, Journal, ReadBatch, ReadItem } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Action, Answer } from '../model/operation.ts';
import type { Actor, Recorder } from '../model/recorder.ts';
import type { Traffic } from './workload.ts';

type AppendAction = Extract<Action, { readonly kind: 'append' }>;

/** An operation that nobody hears of for so long is unknown. */
const DEADLINE_MS = 8_000;
const SILENCE_MS = 1_000;
const FINISH_DEADLINE_MS = 60_000;

export class RecordedJournal {
  readonly journal: Journal;
  readonly region: string;
  /** Number of the instance. */
  readonly instance: number;
  readonly #record: Recorder;
  readonly #workload: string;

  constructor(traffic: Traffic, workload: string, region: string, instance = 1) {
    this.journal = connect(traffic, region, instance, DEADLINE_MS);
    this.region = region;
    this.instance = instance;
    this.#record = traffic.record;
    this.#workload = workload;
  }

  /** Null: it failed or nobody knows. */
  append(
    client: string,
    stream: string,
    values: readonly string[],
    options: Partial<Omit<AppendAction, 'kind' | 'writer'>> = {},
  ): Promise<Answer | null> {
    const { ack = 'ORDERED', ...wish } = options;
    const { instance } = this;
    const action: Action = { kind: 'append', instance, stream, values, ack, ...wish };
    return this.#record.run(this.#actor(client), action, async () => {
      return answerOf(await this.journal.append(stream, recordsOf(values), { ack, ...wish }));
    });
  }

  tail(client: string, stream: string): Promise<Answer | null> {
    const action: Action = { kind: 'tail', instance: this.instance, stream };
    return this.#record.run(this.#actor(client), action, async () => {
      const { nextSeqNum, readPoint } = await this.journal.checkTail(stream);
      return { tail: nextSeqNum, readPoint };
    });
  }

  /** The last `count` records, linearizably: the tail is asked for first, then everything up to it. */
  async read(client: string, stream: string, count: number, known: number): Promise<Answer | null> {
    const from = Math.max(0, known - count);
    const action: Action = { kind: 'read', instance: this.instance, stream, from };
    return this.#record.run(this.#actor(client), action, async () => {
      const { nextSeqNum: tail } = await this.journal.checkTail(stream);
      const values: string[] = [];
      if (tail > from) {
        for await (const batch of batchesUpTo(this.journal, stream, from, tail)) {
          const skipped = Math.max(0, from - batch.firstSeqNum);
          values.push(...valuesOf(batch).slice(skipped));
        }
      }
      return { tail, firstSeqNum: Math.min(from, tail), values };
    });
  }

  fence(client: string, stream: string): Promise<Answer | null> {
    const action: Action = { kind: 'fence', instance: this.instance, stream };
    return this.#record.run(this.#actor(client), action, () => this.journal.fence(stream));
  }

  acquire(holder: string, stream: string, ttlMs: number): Promise<Answer | null> {
    const action: Action = { kind: 'acquire', instance: this.instance, stream, holder, ttlMs };
    return this.#record.run(this.#actor(holder), action, async () => {
      const { token, expiresAt } = await this.journal.acquireLease(stream, { holder, ttlMs });
      return { token, expiresAt };
    });
  }

  renew(holder: string, stream: string, token: number, ttlMs: number): Promise<Answer | null> {
    const { instance } = this;
    const action: Action = { kind: 'renew', instance, stream, holder, token, ttlMs };
    return this.#record.run(this.#actor(holder), action, async () => {
      const grant = await this.journal.renewLease(stream, { holder, token }, { ttlMs });
      return { token: grant.token, expiresAt: grant.expiresAt };
    });
  }

  release(holder: string, stream: string, token: number): Promise<Answer | null> {
    const action: Action = { kind: 'release', instance: this.instance, stream, holder, token };
    return this.#record.run(this.#actor(holder), action, async () => {
      await this.journal.releaseLease(stream, { holder, token });
      return {};
    });
  }

  /** An operation that is sent otherwise than by this class. */
  run(client: string, action: Action, call: () => Promise<Answer>): Promise<Answer | null> {
    return this.#record.run(this.#actor(client), action, call);
  }

  async close(): Promise<void> {
    await this.journal.close({ drainMs: 0 });
  }

  #actor(client: string): Actor {
    return { workload: this.#workload, client, region: this.region };
  }
}

/** Reads whole streams, linearizably, and writes them down as what stands at the end. */
export async function recordFinal(
  traffic: Traffic,
  streams: readonly string[],
  instance = 1,
): Promise<void> {
  const [region = ''] = traffic.endpoints.regions;
  const journal = connect(traffic, region, instance, FINISH_DEADLINE_MS);
  try {
    for (const stream of streams) {
      const { nextSeqNum: tail } = await journal.checkTail(stream);
      if (tail === 0) continue;
      for await (const batch of batchesUpTo(journal, stream, 0, tail)) {
        const { timestamp, recordOffset, firstSeqNum } = batch;
        const place = { timestamp, instance, recordOffset };
        traffic.record.final({ place, stream, firstSeqNum, values: valuesOf(batch) });
      }
    }
  } finally {
    await journal.close();
  }
}

export function answerOf(result: AppendResult): Answer {
  const { timestamp, firstSeqNum, duplicate, region, forwardedVia } = result;
  return {
    timestamp,
    duplicate,
    servedBy: region,
    ...(firstSeqNum === null ? {} : { firstSeqNum }),
    ...(forwardedVia === null ? {} : { forwardedVia }),
  };
}

export function recordsOf(values: readonly string[]): { readonly body: Buffer }[] {
  return values.map((value) => ({ body: Buffer.from(value) }));
}

export function valuesOf({ records }: ReadBatch): string[] {
  return records.map(({ body }) => Buffer.from(body).toString());
}

/** No workload trims, so whoever is told of a gap has lost records: no outcome of an operation, the end of the run. */
export function refuseGap(item: ReadItem, stream: string): void {
  if (item.type !== 'gap') return;
  const { kind, from, to } = item;
  const between = `${from.timestamp}.${from.recordOffset} and ${to.timestamp}.${to.recordOffset}`;
  throw new Error(`stream ${stream}: a gap (${kind}) between ${between}, and nobody trims`);
}

/** `follow`: the replica that answers may be behind the tail that another one has named. */
async function* batchesUpTo(
  journal: Journal,
  stream: string,
  from: number,
  tail: number,
): AsyncGenerator<ReadBatch, void, undefined> {
  const options = { stream, from: { seqNum: from }, untilSeqNum: tail, follow: true };
  for await (const item of journal.read(options)) {
    refuseGap(item, stream);
    if (item.type === 'batches') yield* item.batches;
  }
}

function connect(
  { endpoints }: Traffic,
  region: string,
  instance: number,
  deadlineMs: number,
): Journal {
  const found = endpoints.instances.find(({ number }) => number === instance);
  if (found === undefined) throw new MeridianError('INVALID', `no instance ${instance}`);
  return connectJournal({
    cluster: endpoints.cluster,
    instance: found.name,
    region,
    replicas: found.replicasFrom[region] ?? [],
    deadlineMs,
    silenceMs: SILENCE_MS,
  });
}
