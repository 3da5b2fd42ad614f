/**
 * An instance through the client library, which owns the choice of the replica, failover, and that
 * nothing is lost, repeated or reordered when it changes. Translates; decides nothing but what a gap
 * means here.
 */
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal, ReadGap } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { timestamp } from '../../libs/values/numbers.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import type { CrossbarConfig } from './config.ts';
import type { FollowHandlers, Following, Instance, InstancePosition } from './instance.ts';

export function connectInstance(
  config: CrossbarConfig,
  instance: CrossbarConfig['instances'][number],
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
  });
  return {
    name,
    number,
    follow: (after, handlers) => follow(journal, name, after, handlers),
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
  after: InstancePosition,
  handlers: FollowHandlers,
): Following {
  const following = journal.follow(
    { from: { after }, follow: true },
    {
      onBatches: (frames) => {
        handlers.deliveries(decodeDeliveries(frames));
      },
      onProgress: (progress) => {
        handlers.progress(progress.watermark);
      },
      onGap: (gap) => {
        following.cancel();
        handlers.failed(missing(name, gap));
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

/** The order with a hole in it is not the order: nobody here may decide that it does not matter. */
function missing(name: string, { kind, from, to }: ReadGap): MeridianError {
  const message = `instance ${name}: records from ${from.timestamp} to ${to.timestamp} are ${kind}`;
  return new MeridianError(kind === 'trimmed' ? 'OUT_OF_RANGE' : 'CORRUPT', message, {
    details: { instance: name, kind, from: from.timestamp, to: to.timestamp },
  });
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
