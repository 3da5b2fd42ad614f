/** For tests: a subscriber that writes down what comes, line by line. */
import type { Crossbars } from '../../libs/applier/crossbars.ts';
import type { SourceSubscription, Wish } from '../../libs/applier/source.ts';
import { decodeRecords } from '../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';

/** What came, as `timestamp/instance/offset key`; the order itself is checked by the library. */
export class Recorder {
  readonly lines: string[] = [];
  watermark = 0;
  /** Behind what has come. */
  cursor: Uint8Array | null = null;
  problem: string | null = null;
  readonly served = new Set<string>();
  readonly subscription: SourceSubscription;

  constructor(crossbars: Crossbars, wish: Partial<Wish>) {
    this.subscription = crossbars.subscribe(
      { after: null, streams: [], keys: [], ...wish },
      {
        onBatches: (frames, cursor) => {
          this.cursor = cursor;
          this.served.add(this.subscription.source);
          for (const { timestamp, instance, recordOffset, batch } of decodeDeliveries(frames)) {
            const [record] = decodeRecords(batch);
            const key = Buffer.from(record?.key ?? []).toString();
            this.lines.push(`${timestamp}/${instance}/${recordOffset} ${key}`);
          }
        },
        onProgress: (watermark, cursor) => {
          this.cursor = cursor;
          this.watermark = watermark;
        },
        onGap: ({ instance }) => {
          this.problem ??= `a gap in ${instance}`;
        },
        onEnd: (error) => {
          this.problem ??= error.message;
        },
      },
    );
  }
}
