/**
 * Exactly-once writers. Each has a name and pipelines numbered appends; at random it "restarts" under the
 * same name, which fences its former self, asks where its chain stands, and goes on; and the former self,
 * which does not know, goes on too for a while.
 */
import { judgeStreams, ofStreams } from '../../checkers/stream-judges.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import type { Writer } from '../../../libs/client/client.ts';
import { Random } from '../../random.ts';
import { rest } from '../clients.ts';
import { answerOf, RecordedJournal, recordFinal, recordsOf } from '../recorded-journal.ts';
import type { Traffic, Workload } from '../workload.ts';

const NAME = 'writers';
const PER_REGION = 2;
const BURST_MAX = 8;

export const writers: Workload = {
  name: NAME,
  about: 'named writers that pipeline, restart and leave a zombie of themselves behind',
  needs: { instances: 1, crossbars: false, databases: false },
  async run(traffic, until) {
    const journals = traffic.endpoints.regions.map(
      (region) => new RecordedJournal(traffic, NAME, region),
    );
    const clients = journals.flatMap((journal) =>
      Array.from({ length: PER_REGION }, (_, i) => new NamedWriter(traffic, journal, i).run(until)),
    );
    try {
      await Promise.all(clients);
    } finally {
      await Promise.all(journals.map((journal) => journal.close()));
    }
  },
  finish: (traffic) => recordFinal(traffic, [streamOf(traffic.run)]),
  judge: (history) => judgeStreams(ofStreams(history, (stream) => stream.includes(`-${NAME}-`))),
};

interface Life {
  readonly writer: Writer;
  readonly epoch: number;
  seq: number;
}

class NamedWriter {
  readonly #journal: RecordedJournal;
  readonly #stream: string;
  readonly #id: string;
  readonly #random: Random;
  #lives = 0;

  constructor(traffic: Traffic, journal: RecordedJournal, number: number) {
    this.#journal = journal;
    this.#stream = streamOf(traffic.run);
    this.#id = `${traffic.run}-${journal.region}-${number}`;
    this.#random = new Random(traffic.seed).fork(this.#id);
  }

  async run(until: AbortSignal): Promise<void> {
    const isOver = (): boolean => until.aborted;
    let life: Life | null = null;
    while (!isOver()) {
      const next = await this.#begin();
      if (next === null) {
        await rest(100, until);
        continue;
      }
      const both = life === null ? [next] : [next, life];
      const bursts = this.#random.integer(3, 12);
      for (let i = 0; i < bursts && !isOver(); i += 1) {
        await Promise.all(both.flatMap((it) => this.#burst(it)));
        if (next.writer.ended !== null) break;
        await rest(this.#random.next() * 100, until);
      }
      life?.writer.close();
      life = next;
    }
    life?.writer.close();
  }

  /** null: nobody said where the chain stands. */
  async #begin(): Promise<Life | null> {
    // Named here: two lives that both begin before either appends would be given the same one.
    const epoch = (this.#lives += 1);
    const writer = this.#journal.journal.writer({ id: this.#id, epoch });
    try {
      const { lastSeq } = await writer.start();
      return { writer, epoch, seq: lastSeq };
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      return null;
    }
  }

  #burst(life: Life): Promise<unknown>[] {
    if (life.writer.ended !== null) return [];
    return Array.from({ length: this.#random.integer(1, BURST_MAX) }, () => {
      const seq = (life.seq += 1);
      const { epoch } = life;
      const { instance } = this.#journal;
      const value = `${this.#id}:${epoch}:${seq}`;
      const writer = { id: this.#id, epoch, seq };
      const stream = this.#stream;
      const action = { kind: 'append', instance, stream, values: [value], ack: 'ORDERED' } as const;
      return this.#journal.run(`${this.#id}:${epoch}`, { ...action, writer }, async () => {
        return answerOf(await life.writer.append(stream, recordsOf([value]), { seq }));
      });
    });
  }
}

function streamOf(run: string): string {
  return `${run}-${NAME}-0`;
}
