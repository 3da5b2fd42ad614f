/**
 * An instance through the client library, which owns the choice of the replica, failover, and that
 * nothing is lost, repeated or reordered when it changes. Translates; decides nothing.
 */
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
} from './instance.ts';

export function connectInstance(
  config: CrossbarConfig,
  instance: CrossbarConfig['instances'][number],
  security: Security | null,
): Instance {
  const { cluster, region, timings } = config;
  const { name, number, replicas } = instance;
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
  return {
    name,
    number,
    follow: (after, keys, handlers) => follow(journal, name, { after, keys }, handlers),
    heartbeat: () => named(name, readPoint(journal)),
    watermark: () => named(name, watermark(journal, regions)),
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
  try {
    const status = await Promise.any(regions.map((region) => journal.status(region)));
    return timestamp(Number(status.watermark));
  } catch (error) {
    if (!(error instanceof AggregateError)) throw error;
    throw error.errors[0];
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
