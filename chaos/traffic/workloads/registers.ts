/**
 * Registers: the last record of a stream is the register's value. Clients in all regions write, read
 * linearizably and compare-and-swap (an append on the condition that the tail is what they last saw).
 */
import { judgeStreams, ofStreams } from '../../checkers/stream-judges.ts';
import { runClients, values } from '../clients.ts';
import { recordFinal } from '../recorded-journal.ts';
import type { Workload } from '../workload.ts';

const NAME = 'registers';
const REGISTERS = 4;

export const registers: Workload = {
  name: NAME,
  about: 'writes, linearizable reads and compare-and-swap on a few registers, in every region',
  needs: { instances: 1, crossbars: false, databases: false },
  async run(traffic, until) {
    const counts = new Map<string, number>();
    const seen = new Map<string, number>();
    const options = { workload: NAME, perRegion: 3, pauseMs: 25 };
    await runClients(traffic, until, options, async (client) => {
      const { name, journal, random } = client;
      const stream = streamOf(traffic.run, random.integer(0, REGISTERS - 1));
      const mine = `${name} ${stream}`;
      const dice = random.next();
      const known = seen.get(mine) ?? 0;
      if (dice < 0.4) {
        const answer = await journal.read(name, stream, 1, known);
        if (answer?.tail !== undefined) seen.set(mine, answer.tail);
      } else if (dice < 0.7) {
        const answer = await journal.append(name, stream, values(client, counts, 1));
        if (answer?.firstSeqNum !== undefined) seen.set(mine, answer.firstSeqNum + 1);
      } else {
        const options = { matchSeqNum: known };
        await journal.append(name, stream, values(client, counts, 1), options);
      }
    });
  },
  finish: (traffic) => recordFinal(traffic, streamsOf(traffic.run)),
  judge: (history) => judgeStreams(ofStreams(history, (stream) => stream.includes(`-${NAME}-`))),
};

function streamOf(run: string, number: number): string {
  return `${run}-${NAME}-${number}`;
}

function streamsOf(run: string): string[] {
  return Array.from({ length: REGISTERS }, (_, i) => streamOf(run, i));
}
