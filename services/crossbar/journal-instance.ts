/**
 * An instance through the client library, which owns the choice of the replica, failover, and that
 * nothing is lost, repeated or reordered when it changes. Translates; decides nothing.
 */
import { whoeverAnswers } from '../../libs/client/calls.ts';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal, ReadGap } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { KeyRange } from '../../libs/frames/key-filter.ts';
import type { Security } from '../../libs/security/security.ts';
import { timestamp } from '../../libs/values/numbers.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import type { CrossbarConfig } from './config.ts';
import type {
  FollowHandlers,
  Following,
  Instance,
  InstanceGap,
  InstancePosition,
  StreamRecord,
} from './instance.ts';
import type { MemberDescription } from './membership.ts';

export function connectInstance(
  config: CrossbarConfig,
  { name, number, replicas }: MemberDescription,
  security: Security | null,
): Instance {
  const { cluster, region, timings } = config;
  const regions = replicas.map((replica) => replica.region);
  const journal = connectJournal({
    cluster,
    instance: name,
    replicas,
    // Where this region has no replica, the order of the configuration says what is near.
    ...(regions.includes(region) ? { region } : {}),
    deadlineMs: timings.heartbeatTimeoutMs,
    silenceMs: timings.silenceMs,
    ...(security === null ? {} : { security: { tls: security.credentials } }),
  });
  return instanceOf(journal, { name, number, regions });
}

/** `regions`: those with a replica. */
export function instanceOf(
  journal: Journal,
  { name, number, regions }: Pick<Instance, 'name' | 'number'> & { readonly regions: string[] },
): Instance {
  return {
    name,
    number,
    follow: (after, keys, handlers) => follow(journal, name, { after, keys }, handlers),
    heartbeat: () => named(name, readPoint(journal)),
    watermark: () => named(name, watermark(journal, regions)),
    localTail: (stream) => named(name, localTail(journal, regions, stream)),
    tail: (stream) => named(name, tail(journal, stream)),
    records: (stream, from, to) => named(name, records(journal, stream, { from, to })),
    close: () => {
      void journal.close();
    },
  };
}

function follow(
  journal: Journal,
  name: string,
  { after, keys }: { after: InstancePosition; keys: readonly KeyRange[] },
  handlers: FollowHandlers,
): Following {
  const following = journal.follow(
    { from: { after }, keys, follow: true },
    {
      onBatches: (frames) => {
        handlers.batches(frames);
      },
      onProgress: (progress) => {
        handlers.progress(progress.watermark);
      },
      onGap: (gap) => {
        const missing = missingIn(gap);
        if (missing !== null) handlers.gap(missing);
      },
      onEnd: (error) => {
        handlers.failed(ended(name, error));
      },
    },
  );
  return {
    get source() {
      return following.source;
    },
    pause: () => {
      following.pause();
    },
    resume: () => {
      following.resume();
    },
    stop: () => {
      following.cancel();
    },
  };
}

async function readPoint(journal: Journal): Promise<Timestamp> {
  const answer = await journal.heartbeat();
  return timestamp(answer.readPoint);
}

/** Of the replica that answers first: asks no quorum, so that what is released can be read without one. */
async function watermark(journal: Journal, regions: readonly string[]): Promise<Timestamp> {
  const statuses = regions.map((region) => journal.status(region));
  return timestamp(Number((await whoeverAnswers(statuses)).watermark));
}

/** The tail is asked for behind the watermark, at the same replica, so no record up to that is missed. */
function localTail(
  journal: Journal,
  regions: readonly string[],
  stream: string,
): Promise<{ watermark: Timestamp; records: number }> {
  const ask = async (region: string): Promise<{ watermark: Timestamp; records: number }> => {
    const status = await journal.status(region);
    const records = await unlessMissing(
      journal.localTail(stream, { region }).then((found) => found.localNextSeqNum),
    );
    return { watermark: timestamp(Number(status.watermark)), records };
  };
  return whoeverAnswers(regions.map(ask));
}

function tail(journal: Journal, stream: string): Promise<number> {
  return unlessMissing(journal.checkTail(stream).then((found) => found.nextSeqNum));
}

async function records(
  journal: Journal,
  stream: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<StreamRecord[]> {
  const found: StreamRecord[] = [];
  let trimmedTo = 0;
  for await (const item of journal.read({ stream, from: { seqNum: from }, untilSeqNum: to })) {
    if (item.type === 'gap' && (item.kind !== 'trimmed' || found.length > 0)) {
      throw missing(stream, item);
    }
    if (item.type === 'gap') trimmedTo = item.seqNums?.to ?? 0;
    if (item.type !== 'batches') continue;
    for (const { firstSeqNum, timestamp: at, records: all } of item.batches) {
      for (const [index, record] of all.entries()) {
        const seqNum = firstSeqNum + index;
        if (seqNum >= from && seqNum < to) found.push({ seqNum, timestamp: at, record });
      }
    }
  }
  if (found.at(-1)?.seqNum === to - 1 || trimmedTo >= to) return found;
  const message = `the records of ${stream} up to ${to} could not be read`;
  throw new MeridianError('UNAVAILABLE', message);
}

function missing(stream: string, { kind, from, to }: ReadGap): MeridianError {
  const message = `records of ${stream} from ${from.timestamp} to ${to.timestamp} are ${kind}`;
  return new MeridianError('CORRUPT', message, { details: { stream, kind } });
}

async function unlessMissing(records: Promise<number>): Promise<number> {
  try {
    return await records;
  } catch (error) {
    if (error instanceof MeridianError && error.reason === 'STREAM_NOT_FOUND') return 0;
    throw error;
  }
}

/** What a filter holds back is not missing: progress covers it. */
function missingIn({ kind, from, to }: ReadGap): InstanceGap | null {
  return kind === 'filtered' ? null : { kind, from: from.timestamp, to };
}

function ended(name: string, error: Error | null): MeridianError {
  if (error instanceof MeridianError) return withName(name, error);
  const message = `instance ${name}: reading ended: ${error?.message ?? 'without a reason'}`;
  return new MeridianError('UNAVAILABLE', message, { cause: error });
}

async function named<T>(name: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof MeridianError ? withName(name, error) : error;
  }
}

function withName(name: string, error: MeridianError): MeridianError {
  return new MeridianError(error.reason, `instance ${name}: ${error.message}`, {
    details: { ...error.details, instance: name },
    cause: error,
  });
}
