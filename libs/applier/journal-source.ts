/**
 * One instance read without a crossbar, as a source: the same cursors, filters and progress. Knows the
 * client of a journal only by the two calls it needs, so that this library stands without that one.
 */
import { MeridianError } from '../errors/errors.ts';
import { decodeBatchHeader } from '../frames/batch.ts';
import { decodeCursor, encodeCursor } from '../frames/cursor.ts';
import { DeliveryWalker } from '../frames/delivery-walker.ts';
import type { KeyRange } from '../frames/key-filter.ts';
import type { Source, SourceSubscription } from './source.ts';

interface Position {
  readonly timestamp: number;
  readonly recordOffset: number;
}

/** Of `Journal` in libs/client, what is used here. */
export interface FollowableJournal {
  follow(
    options: {
      readonly from: 'start' | { readonly after: Position };
      readonly keys: readonly KeyRange[];
      readonly follow: true;
    },
    handler: {
      onBatches(frames: Uint8Array, position: Position): void;
      onProgress(progress: { readonly watermark: number; readonly stalled: boolean }): void;
      onGap(gap: {
        readonly kind: 'trimmed' | 'filtered' | 'lost';
        readonly from: Position;
        readonly to: Position;
      }): void;
      onEnd(error: MeridianError | null): void;
    },
  ): SourceSubscription;
  heartbeat(options: { readonly deadlineMs: number }): Promise<{ readonly readPoint: number }>;
}

/** In cursors: no instance of a database has it, so that a crossbar refuses them. */
const ALONE = 0;
const OFFSET_END = 0xffff_ffff;
const START = { timestamp: 0, recordOffset: OFFSET_END };

/** `instance` is what stalls are told by. */
export function journalSource(
  journal: FollowableJournal,
  { cluster, instance }: { readonly cluster: string; readonly instance: string },
): Source {
  // A cursor of another instance is as foreign as one of another cluster.
  const scope = `${cluster}/${instance}`;
  const cursorOf = (position: Position): Uint8Array =>
    encodeCursor(scope, [{ instance: ALONE, ...position }]);
  return {
    subscribe: ({ after, streams, keys }, handler) => {
      const wanted = streams.length === 0 ? null : new Set(streams);
      let reached = after === null ? START : positionIn(scope, after);
      const subscription: SourceSubscription = journal.follow(
        { from: after === null ? 'start' : { after: reached }, keys, follow: true },
        {
          onBatches: (frames, position) => {
            reached = position;
            const selected = wanted === null ? frames : select(frames, wanted);
            if (selected.length > 0) handler.onBatches(selected, cursorOf(position));
          },
          onProgress: ({ watermark, stalled }) => {
            // One that only says that nothing moves may be older than the last batches.
            if (watermark >= reached.timestamp) {
              reached = { timestamp: watermark, recordOffset: OFFSET_END };
            }
            handler.onProgress(watermark, cursorOf(reached), stalled ? [instance] : []);
          },
          onGap: ({ kind, from, to }) => {
            if (kind === 'filtered') return;
            const last = to.recordOffset === 0 ? to.timestamp - 1 : to.timestamp;
            handler.onGap({ kind, instance, from: from.timestamp, to: last });
          },
          onEnd: (error) => {
            handler.onEnd(error ?? new MeridianError('UNAVAILABLE', 'the read ended'));
          },
        },
      );
      return subscription;
    },
    readPoint: async (deadlineMs) => (await journal.heartbeat({ deadlineMs })).readPoint,
  };
}

function positionIn(scope: string, cursor: Uint8Array): Position {
  const [part, ...others] = decodeCursor(scope, cursor);
  if (part?.instance === ALONE && others.length === 0) return part;
  throw new MeridianError(
    'INVALID',
    'the cursor comes from a crossbar: it is none of this instance',
  );
}

function select(frames: Uint8Array, streams: ReadonlySet<string>): Uint8Array {
  const selected: Uint8Array[] = [];
  const walker = new DeliveryWalker(frames);
  while (walker.next()) {
    if (!streams.has(decodeBatchHeader(walker.batch).stream)) continue;
    selected.push(frames.subarray(walker.start, walker.end));
  }
  return Buffer.concat(selected);
}
