/**
 * Follows a stream of one instance and writes down what it is given, until it is told to stop. Returns where
 * it stopped, so that the next one can go on there.
 */
import { connectJournal } from '../../libs/client/client.ts';
import type { Position } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { refuseGap, valuesOf } from './recorded-journal.ts';
import type { Traffic } from './workload.ts';

export interface Watch {
  readonly region: string;
  readonly instance: number;
  readonly stream: string;
  /** null: from the beginning. */
  readonly after: Position | null;
}

const SILENCE_MS = 1_000;

/** Its end is no error, whatever stops it: the next one goes on. A gap is one. */
export async function observe(
  { endpoints, record }: Traffic,
  { region, instance, stream, after }: Watch,
  until: AbortSignal,
): Promise<Position | null> {
  const found = endpoints.instances.find(({ number }) => number === instance);
  if (found === undefined) throw new MeridianError('INVALID', `no instance ${instance}`);
  const journal = connectJournal({
    cluster: endpoints.cluster,
    instance: found.name,
    region,
    replicas: found.replicasFrom[region] ?? [],
    silenceMs: SILENCE_MS,
  });
  const close = (): void => void journal.close({ drainMs: 0 });
  until.addEventListener('abort', close);
  const observer = `${region} follows ${stream}`;
  const place = after === null ? null : { instance, ...after };
  record.resumed(observer, { instance, stream }, place);
  let position = after;
  try {
    const from = after === null ? ('start' as const) : { after };
    for await (const item of journal.read({ stream, from, follow: true })) {
      if (until.aborted) break;
      // A reader that reaches no replica says that it stands still, at what it began behind: no promise.
      if (item.type === 'progress' && !item.stalled) {
        record.progress(observer, item.watermark);
      }
      refuseGap(item, stream);
      if (item.type !== 'batches') continue;
      for (const batch of item.batches) {
        const { timestamp, recordOffset, firstSeqNum } = batch;
        const at = { timestamp, instance, recordOffset };
        const values = valuesOf(batch);
        record.delivered({ observer, place: at, stream, firstSeqNum, values });
        position = { timestamp, recordOffset: recordOffset + values.length - 1 };
      }
    }
  } catch (error) {
    // Not there yet, or nobody could be read for too long.
    if (!(error instanceof MeridianError)) throw error;
  } finally {
    until.removeEventListener('abort', close);
    await journal.close({ drainMs: 0 });
  }
  return position;
}
