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
import { openLoop } from './open-loop.ts';
import type { Rates } from './open-loop.ts';
import { answerOf, refuseGap } from './recorded-journal.ts';
import type { Traffic, Workload } from './workload.ts';

export const FLEET = 'fleet';

export interface FleetOptions extends Rates {
  /** Share of the appends that are ORDERED; the others are QUORUM. */
  readonly orderedShare: number;
}

/** A small machine under faults is slow; an operation that nobody hears of for so long is unknown. */
const DEADLINE_MS = 8_000;
const SILENCE_MS = 1_000;

export function fleet(options: FleetOptions): Workload {
  return {
    name: FLEET,
    about: 'in each region one client appends and one reads, at a bounded rate without waiting',
    needs: { instances: 1, crossbars: false, databases: false },
    run: async (traffic, until) => {
      const clients = traffic.endpoints.regions.map(
        (region) => new Client(traffic, region, options.orderedShare),
      );
      try {
        const loops = clients.map((client) => openLoop(options, until, client));
        await Promise.all(loops);
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
  readonly #orderedShare: number;

  constructor({ endpoints, record, run }: Traffic, region: string, orderedShare: number) {
    const instance = endpoints.instances[0];
    this.#record = record;
    this.#region = region;
    this.#orderedShare = orderedShare;
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

  async close(): Promise<void> {
    await this.#journal.close({ drainMs: 0 });
  }

  async append(number: number): Promise<void> {
    const stream = this.#stream;
    const value = `${stream} ${String(number)}`;
    const ordered = (number * this.#orderedShare) % 1 < this.#orderedShare;
    const ack = ordered ? 'ORDERED' : 'QUORUM';
    await this.#record.run(
      this.#actor(ack.toLowerCase()),
      { kind: 'append', instance: 1, stream, values: [value], ack },
      async () => {
        const body = Buffer.from(value);
        return answerOf(await this.#journal.append(stream, [{ body }], { ack }));
      },
    );
  }

  async read(): Promise<void> {
    const stream = this.#stream;
    const action = { kind: 'tail', instance: 1, stream } as const;
    await this.#record.run(this.#actor('reader'), action, async () => {
      const { nextSeqNum, timestamp, readPoint } = await this.#journal.checkTail(stream);
      return { tail: nextSeqNum, timestamp, readPoint };
    });
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
        refuseGap(item, stream);
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
