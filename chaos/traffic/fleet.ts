/**
 * The traffic that every scenario has: in each region a client that appends and one that reads, at a bounded
 * rate, whatever the answers take: an open loop, so that a pause of the system is seen as one. It is
 * what availability is measured with (gaps.ts); what it wrote is judged like any other workload.
 */
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal, ReadBatch } from '../../libs/client/client.ts';
import { judgeStreams, ofStreams } from '../checkers/stream-judges.ts';
import type { History } from '../model/history.ts';
import type { Recorder } from '../model/recorder.ts';
import type { Verdict } from '../model/verdict.ts';
import type { Traffic, Workload } from './workload.ts';

export const FLEET = 'fleet';

export interface FleetOptions {
  /** Per region and second. */
  readonly appendsPerSecond: number;
  readonly readsPerSecond: number;
  /** Share of the appends that are ORDERED; the others are QUORUM. */
  readonly orderedShare: number;
}

/** What a client may have under way; what would exceed it is not sent. */
const APPENDS_MAX = 200;
const READS_MAX = 40;
/** A small machine under faults is slow; an operation that nobody hears of for so long is unknown. */
const DEADLINE_MS = 8_000;
const SILENCE_MS = 1_000;
const TICK_MS = 10;

export function fleet(options: FleetOptions): Workload {
  return {
    name: FLEET,
    about: 'in each region one client appends and one reads, at a bounded rate without waiting',
    needs: { instances: 1, crossbars: false, databases: false },
    run: async (traffic, until) => {
      const clients = traffic.endpoints.regions.map((region) => new Client(traffic, region));
      try {
        await Promise.all(clients.map((client) => client.run(options, until)));
      } finally {
        await Promise.all(clients.map((client) => client.close()));
      }
    },
    finish,
    judge: (history: History): readonly Verdict[] =>
      judgeStreams(ofStreams(history, (stream) => stream.includes(`-${FLEET}-`))),
  };
}

/** Of one region: it prefers its own replica and goes elsewhere when that one does not answer. */
class Client {
  readonly #record: Recorder;
  readonly #region: string;
  readonly #stream: string;
  readonly #journal: Journal;
  #appended = 0;
  #appendsOpen = 0;
  #readsOpen = 0;

  constructor({ endpoints, record, run }: Traffic, region: string) {
    const instance = endpoints.instances[0];
    this.#record = record;
    this.#region = region;
    this.#stream = streamOf(run, region);
    this.#journal = connectJournal({
      cluster: endpoints.cluster,
      instance: instance?.name ?? '',
      region,
      replicas: instance?.replicasFrom[region] ?? [],
      deadlineMs: DEADLINE_MS,
      silenceMs: SILENCE_MS,
    });
  }

  /** Sends what is due every few milliseconds; resolves when everything sent has been answered. */
  async run(options: FleetOptions, until: AbortSignal): Promise<void> {
    const began = performance.now();
    const sent = { append: 0, read: 0 };
    const open = new Set<Promise<unknown>>();
    const add = (operation: Promise<unknown>): void => {
      open.add(operation);
      void operation.finally(() => open.delete(operation));
    };
    while (!until.aborted) {
      const seconds = (performance.now() - began) / 1000;
      for (const due = seconds * options.appendsPerSecond; sent.append < due; sent.append++) {
        const ordered = (sent.append * options.orderedShare) % 1 < options.orderedShare;
        if (this.#appendsOpen < APPENDS_MAX) add(this.#append(ordered ? 'ORDERED' : 'QUORUM'));
      }
      for (const due = seconds * options.readsPerSecond; sent.read < due; sent.read++) {
        if (this.#readsOpen < READS_MAX) add(this.#read());
      }
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    await Promise.all(open);
  }

  async close(): Promise<void> {
    await this.#journal.close({ drainMs: 0 });
  }

  async #append(ack: 'QUORUM' | 'ORDERED'): Promise<void> {
    const value = `${this.#stream} ${String(this.#appended++)}`;
    const stream = this.#stream;
    this.#appendsOpen += 1;
    await this.#record.run(
      this.#actor(ack.toLowerCase()),
      { kind: 'append', instance: 1, stream, values: [value], ack },
      async () => {
        const body = Buffer.from(value);
        const result = await this.#journal.append(stream, [{ body }], { ack });
        const { timestamp, firstSeqNum, duplicate, region, forwardedVia } = result;
        return {
          timestamp,
          duplicate,
          servedBy: region,
          ...(firstSeqNum === null ? {} : { firstSeqNum }),
          ...(forwardedVia === null ? {} : { forwardedVia }),
        };
      },
    );
    this.#appendsOpen -= 1;
  }

  async #read(): Promise<void> {
    const stream = this.#stream;
    this.#readsOpen += 1;
    await this.#record.run(
      this.#actor('reader'),
      { kind: 'tail', instance: 1, stream },
      async () => {
        const { nextSeqNum, timestamp, readPoint } = await this.#journal.checkTail(stream);
        return { tail: nextSeqNum, timestamp, readPoint };
      },
    );
    this.#readsOpen -= 1;
  }

  #actor(role: string): { workload: string; client: string; region: string } {
    return { workload: FLEET, client: `${this.#region}/${role}`, region: this.#region };
  }
}

/** Everything the clients wrote, read back in the journal's order. */
async function finish({ endpoints, record, run }: Traffic): Promise<void> {
  const [region = ''] = endpoints.regions;
  const instance = endpoints.instances[0];
  const journal = connectJournal({
    cluster: endpoints.cluster,
    instance: instance?.name ?? '',
    region,
    replicas: instance?.replicasFrom[region] ?? [],
  });
  try {
    for (const home of endpoints.regions) {
      const stream = streamOf(run, home);
      const { nextSeqNum } = await journal.checkTail(stream);
      if (nextSeqNum === 0) continue;
      const options = { stream, from: 'start', untilSeqNum: nextSeqNum } as const;
      for await (const item of journal.read(options)) {
        if (item.type === 'batches') for (const batch of item.batches) writeDown(record, batch);
      }
    }
  } finally {
    await journal.close();
  }
}

function writeDown(record: Recorder, batch: ReadBatch): void {
  const { timestamp, recordOffset, stream, firstSeqNum, records } = batch;
  record.final({
    place: { timestamp, instance: 1, recordOffset },
    stream,
    firstSeqNum,
    values: records.map(({ body }) => Buffer.from(body).toString()),
  });
}

function streamOf(run: string, region: string): string {
  return `${run}-${FLEET}-${region}`;
}
