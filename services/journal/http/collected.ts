/**
 * A read that ends, as one JSON document: a page. `after` is where the next one begins; `watermark` is null
 * when the page is full, so that there may be more.
 */
import type { ReadResponse } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { ServerStream } from '../../../libs/rpc/rpc.ts';
import type { Place } from './parameters.ts';
import type { ReadItems } from './read-items.ts';

/** Rejects with what the read fails with. `open` begins the read into the stream it is given. */
export function collected(
  items: ReadItems,
  peer: string,
  signal: AbortSignal,
  open: (stream: ServerStream<ReadResponse>) => void,
): Promise<object> {
  return new Promise((resolve, reject) => {
    const records: object[] = [];
    const gaps: object[] = [];
    let last: Place | null = null;
    const stream = {
      peer,
      // Asked before: see exchange.admit.
      caller: null,
      closed: false,
      queued: 0,
      write: (message: ReadResponse, sent?: () => void): boolean => {
        for (const { type, place, json } of items.from(message)) {
          if (type === 'record') records.push(json);
          else if (type === 'gap') gaps.push((json as { gap: object }).gap);
          last = place;
        }
        if (sent !== undefined) setImmediate(sent);
        return true;
      },
      onDrain: () => undefined,
      onClose: (callback: () => void) => {
        signal.addEventListener('abort', () => {
          stream.closed = true;
          callback();
        });
      },
      end: () => {
        const after = last === null ? null : `${last.timestamp}/${last.recordOffset}`;
        resolve({ records, gaps, after, watermark: items.watermark, tailSeqNum: items.tailSeqNum });
      },
      fail: reject,
    };
    open(stream);
  });
}
