/**
 * Leases and fencing: in each region somebody wants the lease of a stream, appends with its token, renews or
 * gives it back, or falls asleep for longer than it lasts and then goes on as if nothing had happened.
 * Now and then somebody fences whoever has it.
 */
import { judgeStreams, ofStreams } from '../../checkers/stream-judges.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { rest, runClients, values } from '../clients.ts';
import { RecordedJournal, recordFinal } from '../recorded-journal.ts';
import type { Traffic, Workload } from '../workload.ts';

const NAME = 'leases';
const STREAMS = 2;
const TTL_MS = 600;

export const leases: Workload = {
  name: NAME,
  about: 'holders that win, renew, sleep through and lose leases, and append with their tokens',
  needs: { instances: 1, crossbars: false, databases: false },
  async run(traffic, until) {
    await createStreams(traffic, until);
    const counts = new Map<string, number>();
    const tokens = new Map<string, number>();
    const options = { workload: NAME, perRegion: 2, pauseMs: 25 };
    await runClients(traffic, until, options, async (client) => {
      const { name, journal, random } = client;
      const stream = streamOf(traffic.run, random.integer(0, STREAMS - 1));
      const mine = `${name} ${stream}`;
      const token = tokens.get(mine);
      if (token === undefined) {
        const grant = await journal.acquire(name, stream, TTL_MS);
        if (grant?.token !== undefined) tokens.set(mine, grant.token);
        else await rest(TTL_MS / 4, until);
        return;
      }
      const dice = random.next();
      if (dice < 0.7) {
        const answer = await journal.append(name, stream, values(client, counts, 1), {
          fencingToken: token,
        });
        // A holder that does not take no for an answer is what fencing is there for.
        if (answer === null && random.next() < 0.5) tokens.delete(mine);
      } else if (dice < 0.85) {
        if ((await journal.renew(name, stream, token, TTL_MS)) === null) tokens.delete(mine);
      } else if (dice < 0.9) {
        await journal.release(name, stream, token);
        tokens.delete(mine);
      } else if (dice < 0.95) await rest(TTL_MS * 1.5, until);
      else if (dice < 0.97) await journal.fence(name, stream);
    });
  },
  finish: (traffic) => recordFinal(traffic, streamsOf(traffic.run)),
  judge: (history) => judgeStreams(ofStreams(history, (stream) => stream.includes(`-${NAME}-`))),
};

/** A lease is of a stream that exists. Faults may have begun: it is tried until it works. */
async function createStreams(traffic: Traffic, until: AbortSignal): Promise<void> {
  const [region = ''] = traffic.endpoints.regions;
  const client = new RecordedJournal(traffic, NAME, region);
  try {
    for (const stream of streamsOf(traffic.run)) {
      while (!until.aborted) {
        try {
          await client.journal.createStream(stream);
          break;
        } catch (error) {
          if (!(error instanceof MeridianError) || !error.retry) throw error;
        }
      }
    }
  } finally {
    await client.close();
  }
}

function streamOf(run: string, number: number): string {
  return `${run}-${NAME}-${number}`;
}

function streamsOf(run: string): string[] {
  return Array.from({ length: STREAMS }, (_, i) => streamOf(run, i));
}
