/**
 * One order over several journals: clients in all regions append to streams in every instance, each append
 * behind everything that anybody was told before (`minTimestamp`); in every region a subscriber of the
 * crossbars follows the merged order, leaves off and resumes from its cursor. At the end one subscriber in
 * each region is given everything.
 */
import { Crossbars } from '../../../libs/applier/crossbars.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { decodeBatchHeader, decodeRecords } from '../../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../../libs/frames/delivery.ts';
import { judgeStreams, ofStreams } from '../../checkers/stream-judges.ts';
import type { Place } from '../../model/operation.ts';
import { Random } from '../../random.ts';
import { rest } from '../clients.ts';
import { RecordedJournal, recordFinal } from '../recorded-journal.ts';
import type { Traffic, Workload } from '../workload.ts';

const NAME = 'total-order';
const PER_REGION = 2;
const PAUSE_MS = 30;
const WATCH_MS = 2_000;
const FINISH_MS = 60_000;

export const totalOrder: Workload = {
  name: NAME,
  about: 'appends to several journals and subscribers of their merged order, in every region',
  needs: { instances: 2, crossbars: true, databases: false },
  async run(traffic, until) {
    const subscribers = traffic.endpoints.regions.map(async (region) => {
      let mark: Mark = { cursor: null, place: null };
      while (!until.aborted) {
        const enough = AbortSignal.any([until, AbortSignal.timeout(WATCH_MS)]);
        mark = await subscribe(traffic, `${region} subscribes`, region, mark, enough);
        await rest(50, until);
      }
    });
    await Promise.all([runClients(traffic, until), ...subscribers]);
  },
  async finish(traffic) {
    for (const { number } of traffic.endpoints.instances) {
      await recordFinal(traffic, [streamOf(traffic.run)], number);
    }
    await Promise.all(traffic.endpoints.regions.map((region) => readAll(traffic, region)));
  },
  judge: (history) => judgeStreams(ofStreams(history, (stream) => stream.endsWith(`-${NAME}`))),
};

function streamOf(run: string): string {
  return `${run}-${NAME}`;
}

async function runClients(traffic: Traffic, until: AbortSignal): Promise<void> {
  const { regions, instances } = traffic.endpoints;
  const journals = new Map(
    regions.map((region) => [
      region,
      instances.map(({ number }) => new RecordedJournal(traffic, NAME, region, number)),
    ]),
  );
  /** What anybody of the run has been told. */
  let told = 0;
  const clients = [...journals].flatMap(([region, all]) =>
    Array.from({ length: PER_REGION }, async (_, i) => {
      const name = `${region}/${NAME}-${i}`;
      const random = new Random(traffic.seed).fork(name);
      for (let number = 0; !until.aborted; number += 1) {
        const ack = random.next() < 0.5 ? 'QUORUM' : 'ORDERED';
        const wish = { ack, minTimestamp: told } as const;
        const journal = random.pick(all);
        const answer = await journal.append(
          name,
          streamOf(traffic.run),
          [`${name}#${number}`],
          wish,
        );
        told = Math.max(told, answer?.timestamp ?? 0);
        await rest(random.next() * 2 * PAUSE_MS, until);
      }
    }),
  );
  try {
    await Promise.all(clients);
  } finally {
    await Promise.all([...journals.values()].flat().map((journal) => journal.close()));
  }
}

/** Where a subscriber stands: what it resumes with, and what the checkers are told. */
interface Mark {
  readonly cursor: Uint8Array | null;
  readonly place: Place | null;
}

/** Until it is told to stop, or `isEnough` of a watermark. */
function subscribe(
  { endpoints, record, run }: Traffic,
  observer: string,
  region: string,
  after: Mark,
  until: AbortSignal,
  isEnough: (watermark: number) => boolean = () => false,
): Promise<Mark> {
  const stream = streamOf(run);
  const crossbars = new Crossbars({
    cluster: endpoints.cluster,
    crossbars: endpoints.crossbarsFrom[region] ?? [],
    silenceMs: 1_000,
  });
  record.resumed(observer, { stream }, after.place);
  let mark = after;
  return new Promise((resolve, reject) => {
    const wish = { after: after.cursor, streams: [stream], keys: [] };
    const stop = (): void => {
      until.removeEventListener('abort', stop);
      subscription.cancel();
      crossbars.close();
      resolve(mark);
    };
    const subscription = crossbars.subscribe(wish, {
      onBatches: (frames, cursor) => {
        for (const { timestamp, instance, recordOffset, firstSeqNum, batch } of decodeDeliveries(
          frames,
        )) {
          const values = decodeRecords(batch).map(({ body }) => Buffer.from(body).toString());
          const place = { timestamp, instance, recordOffset };
          const name = decodeBatchHeader(batch).stream;
          record.delivered({ observer, place, stream: name, firstSeqNum, values });
          const last = { ...place, recordOffset: recordOffset + values.length - 1 };
          mark = { cursor, place: last };
        }
      },
      onProgress: (watermark, cursor) => {
        record.progress(observer, watermark);
        mark = { cursor, place: mark.place };
        if (isEnough(watermark)) stop();
      },
      onGap: ({ kind, from, to }) => {
        reject(new MeridianError('CORRUPT', `${observer}: ${kind} from ${from} to ${to}`));
      },
      onEnd: reject,
    });
    until.addEventListener('abort', stop);
    if (until.aborted) stop();
  });
}

/** One that begins at the beginning and goes on until nothing can be missing. */
async function readAll(traffic: Traffic, region: string): Promise<void> {
  const crossbars = new Crossbars({
    cluster: traffic.endpoints.cluster,
    crossbars: traffic.endpoints.crossbarsFrom[region] ?? [],
  });
  const { readPoint } = await crossbars.heartbeat({ deadlineMs: FINISH_MS });
  crossbars.close();
  const late = AbortSignal.timeout(FINISH_MS);
  const from = { cursor: null, place: null };
  let reached = 0;
  await subscribe(traffic, `${region} reads all`, region, from, late, (watermark) => {
    reached = watermark;
    return watermark >= readPoint;
  });
  if (reached >= readPoint) return;
  const message = `the crossbars of ${region} have only come to ${reached} of ${readPoint}`;
  throw new MeridianError('DEADLINE', message);
}
