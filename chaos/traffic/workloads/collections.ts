/**
 * Sets and append-only lists. A set is filled with QUORUM appends, whose order does not matter; a list with
 * ORDERED ones, in batches that must stay whole. Clients read the last few dozen elements linearizably,
 * and in every region somebody follows the stream from its beginning, leaves off and resumes.
 */
import { judgeStreams, ofStreams } from '../../checkers/stream-judges.ts';
import type { History } from '../../model/history.ts';
import { rest, runClients, values } from '../clients.ts';
import { observe } from '../observer.ts';
import { recordFinal } from '../recorded-journal.ts';
import type { Traffic, Workload } from '../workload.ts';

const STREAMS = 2;
const READ_COUNT = 40;
/** How long an observer follows before it leaves off. */
const WATCH_MS = 1_500;

export const sets = collection('sets', 'QUORUM', 'elements added by QUORUM appends');
export const lists = collection('lists', 'ORDERED', 'batches appended with ORDERED');

function collection(name: string, ack: 'QUORUM' | 'ORDERED', what: string): Workload {
  const streamOf = (run: string, number: number): string => `${run}-${name}-${number}`;
  const streamsOf = (run: string): string[] =>
    Array.from({ length: STREAMS }, (_, i) => streamOf(run, i));
  const clients = async (traffic: Traffic, until: AbortSignal): Promise<void> => {
    const counts = new Map<string, number>();
    const tails = new Map<string, number>();
    const options = { workload: name, perRegion: 2, pauseMs: 25 };
    await runClients(traffic, until, options, async (client) => {
      const { journal, random } = client;
      const stream = streamOf(traffic.run, random.integer(0, STREAMS - 1));
      const dice = random.next();
      if (dice < 0.7) {
        const count = ack === 'QUORUM' ? 1 : random.integer(1, 4);
        await journal.append(client.name, stream, values(client, counts, count), { ack });
      } else if (dice < 0.85) {
        await journal.tail(client.name, stream);
      } else {
        const known = tails.get(stream) ?? 0;
        const answer = await journal.read(client.name, stream, READ_COUNT, known);
        if (answer?.tail !== undefined) tails.set(stream, answer.tail);
      }
    });
  };
  const observers = async (traffic: Traffic, until: AbortSignal): Promise<void> => {
    const watching = traffic.endpoints.regions.map(async (region) => {
      const stream = streamOf(traffic.run, 0);
      let after = null;
      while (!until.aborted) {
        const enough = AbortSignal.any([until, AbortSignal.timeout(WATCH_MS)]);
        after = await observe(traffic, { region, instance: 1, stream, after }, enough);
        await rest(50, until);
      }
    });
    await Promise.all(watching);
  };
  return {
    name,
    about: `${what}, read linearizably, and followed with interruptions, in every region`,
    needs: { instances: 1, crossbars: false, databases: false },
    async run(traffic, until) {
      await Promise.all([clients(traffic, until), observers(traffic, until)]);
    },
    finish: (traffic) => recordFinal(traffic, streamsOf(traffic.run)),
    judge: (history: History) =>
      judgeStreams(ofStreams(history, (stream) => stream.includes(`-${name}-`))),
  };
}
