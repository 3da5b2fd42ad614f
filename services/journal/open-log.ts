/**
 * Opening the data directory of a replica: makes it where there is none, sets a damaged one aside and
 * makes a new one (whose replica does not vote before it has recovered from both others), and says what
 * it found. Owns nothing afterwards.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Recovered } from '../../libs/lane/types.ts';
import { inspectDirectory, openLog, setAside } from '../../libs/storage/log.ts';
import type { Identity, Log } from '../../libs/storage/log.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { CheckpointHead, CheckpointSource } from './checkpoint-sections.ts';
import type { Frame } from './content.ts';
import type { LogState } from './log-state.ts';
import { Replay, makeLog, newLife, writeState } from './recovery.ts';

export interface OpenOptions {
  readonly directory: string;
  readonly identity: Identity;
  readonly self: ReplicaId;
  readonly segmentBytes: number;
  readonly cacheBytesMax: number;
  /** Microseconds since 1970: the number of a new directory's life. */
  readonly wall: number;
  /**
   * The data is of no use any more: it is set aside whatever it looks like. The new directory's life is
   * above `above`, the highest that anybody knows of; null: the data is fine as far as anybody knows.
   */
  readonly anew: { readonly above: number } | null;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
  /** A write found the disk full, and waits. */
  readonly onNoSpace: (error: MeridianError) => void;
}

export interface OpenedLog extends CheckpointSource {
  readonly log: Log;
  readonly state: LogState;
  readonly head: CheckpointHead;
  readonly recovered: Recovered<Frame>;
}

export async function openReplicaLog(options: OpenOptions): Promise<OpenedLog> {
  const { directory, logger } = options;
  if (options.anew !== null) {
    logger.error({ directory, aside: setAside(directory) }, 'the data was set aside');
  }
  await maybeMake(options, 'no data here');
  try {
    return await open(options);
  } catch (error) {
    if (!(error instanceof MeridianError) || error.reason !== 'CORRUPT') throw error;
    const aside = setAside(directory);
    logger.error(
      { directory, aside, details: error.details, found: error.message },
      'the data is damaged: it was set aside, and this replica recovers from both others before it votes',
    );
    await maybeMake(options, 'damaged data was set aside');
    return open(options);
  }
}

async function maybeMake(options: OpenOptions, why: string): Promise<void> {
  const { directory, identity, self, wall, logger } = options;
  let isThere = false;
  try {
    isThere = inspectDirectory(directory).kind === 'log';
  } catch (error) {
    if (!(error instanceof MeridianError) || error.reason !== 'CORRUPT') throw error;
    const aside = setAside(directory);
    logger.error(
      { directory, aside, found: error.message },
      'the data is damaged: it was set aside',
    );
  }
  if (isThere) return;
  logger.warn(
    { directory, why },
    'this replica recovers from both others before it votes (a new instance is made with the command "format")',
  );
  const incarnation = Math.max(wall, (options.anew?.above ?? 0) + 1);
  await makeLog({ directory, identity, self, incarnation, voting: false });
}

async function open(options: OpenOptions): Promise<OpenedLog> {
  const { directory, identity, self, segmentBytes, cacheBytesMax, wall, logger } = options;
  const { onFatal, onNoSpace } = options;
  const replay = new Replay(self, cacheBytesMax);
  const onCheckpoint = replay.begin;
  const log = openLog(
    { directory, identity, segmentBytes, onCheckpoint, onFatal, onNoSpace },
    (frame) => {
      replay.take(frame);
    },
  );
  const { order, index, store, head } = replay.loaded;
  store.readFrom(log);
  for (const finding of log.findings) {
    logger.error(
      { directory, details: finding.details, found: finding.message },
      'a checkpoint is damaged: it was set aside, and the one before it is used',
    );
  }
  const { recoveredFrames, tornBytes } = log.stats;
  logger.info(
    {
      directory,
      checkpoint: log.openedWith,
      entries: head.count,
      frames: recoveredFrames,
      tornBytes,
    },
    'log opened',
  );
  const { state } = replay;
  if (state.incarnationOf(self) === 0) {
    // Killed while the directory was made: it gets its incarnation now.
    const write = { type: 'incarnation', replica: self, incarnation: wall } as const;
    writeState(log, write);
    state.take(write);
    await new Promise<void>((resolve) => {
      log.sync(resolve);
    });
  }
  const recovered = replay.result(newLife(state, self, wall));
  return { log, state, head, recovered, order, index, store };
}
