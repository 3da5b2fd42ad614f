/**
 * A race: many clients in all regions append to one stream, each on the condition that the tail is still
 * what it last saw. Of those that expect the same number exactly one may win.
 */
import { judgeStreams, ofStreams } from '../../checkers/stream-judges.ts';
import { runClients, values } from '../clients.ts';
import { recordFinal } from '../recorded-journal.ts';
import type { Workload } from '../workload.ts';

const NAME = 'conditional';

export const conditional: Workload = {
  name: NAME,
  about: 'many clients append to one stream, each on the condition that it saw the tail',
  needs: { instances: 1, crossbars: false, databases: false },
  async run(traffic, until) {
    const stream = streamOf(traffic.run);
    const counts = new Map<string, number>();
    const seen = new Map<string, number>();
    const options = { workload: NAME, perRegion: 4, pauseMs: 20 };
    await runClients(traffic, until, options, async (client) => {
      const { name, journal, random } = client;
      const matchSeqNum = seen.get(name) ?? 0;
      const count = random.integer(1, 2);
      const answer = await journal.append(name, stream, values(client, counts, count), {
        matchSeqNum,
      });
      if (answer?.firstSeqNum !== undefined) seen.set(name, answer.firstSeqNum + count);
      else {
        const tail = await journal.tail(name, stream);
        if (tail?.tail !== undefined) seen.set(name, tail.tail);
      }
    });
  },
  finish: (traffic) => recordFinal(traffic, [streamOf(traffic.run)]),
  judge: (history) => judgeStreams(ofStreams(history, (stream) => stream.includes(`-${NAME}-`))),
};

function streamOf(run: string): string {
  return `${run}-${NAME}-0`;
}
