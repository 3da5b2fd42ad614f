/**
 * The order executed again from an archive: from an archived state, or from the beginning, through one
 * segment after the other. Each is checked against the hash that the manifest names, the chain of hashes, and
 * what the order made of it the first time. Restoring a journal and deleting in an archive both need it.
 */
import { readChecked } from '../../libs/archive/catalog.ts';
import type { Catalog } from '../../libs/archive/catalog.ts';
import type { ObjectRef, SegmentRef } from '../../libs/archive/manifest.ts';
import { decodeSegment } from '../../libs/archive/segment.ts';
import { decodeState, encodeState } from '../../libs/archive/state.ts';
import type { LaneMark } from '../../libs/archive/state.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { ENTRY_HEADER_BYTES } from '../../libs/frames/entry.ts';
import { createOrderMachine, restoreOrderMachine } from '../../libs/order/machine.ts';
import type { HashedOrderMachine } from '../../libs/order/machine.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import { ArchiveView } from './archive-history.ts';

const NEVER: LaneMark = { epoch: 0, index: 0, timestamp: 0 };

export class ArchiveReplay {
  readonly order: HashedOrderMachine;
  /** Of the last entry of each lane; zeros when there has been none. */
  readonly lanes: LaneMark[];
  /** Of the next entry. */
  ordinal: number;
  timestamp: number;
  readonly #catalog: Catalog;
  #chain: string | null = null;

  private constructor(catalog: Catalog, order: HashedOrderMachine, lanes: LaneMark[]) {
    this.#catalog = catalog;
    this.order = order;
    this.lanes = lanes;
    this.ordinal = 0;
    this.timestamp = 0;
  }

  /** null: from the beginning of the journal. */
  static async from(catalog: Catalog, ref: ObjectRef | null): Promise<ArchiveReplay> {
    if (ref === null) {
      const lanes = REPLICAS.map(() => NEVER);
      return new ArchiveReplay(catalog, createOrderMachine(), lanes);
    }
    const state = decodeState(await readChecked(catalog.store, ref), ref.key);
    const lanes = REPLICAS.map((lane) => state.lanes[lane] ?? NEVER);
    const replay = new ArchiveReplay(catalog, restoreOrderMachine(state.machine), lanes);
    replay.ordinal = state.ordinal;
    replay.timestamp = state.timestamp;
    return replay;
  }

  /** Through all that is named, from where the archive begins. */
  static async ofAll(catalog: Catalog): Promise<ArchiveReplay> {
    const replay = await ArchiveReplay.from(catalog, catalog.manifest.state);
    for await (const ref of catalog.allSegments()) await replay.execute(ref);
    return replay;
  }

  /** Returns the segment as readers see it. Throws CORRUPT, OUT_OF_RANGE when it was deleted meanwhile. */
  async execute(ref: SegmentRef): Promise<ArchiveView> {
    const segment = decodeSegment(await this.#catalog.fetch(ref), ref.key);
    const follows = this.#chain === null || segment.previous === this.#chain;
    if (segment.first !== ref.first || ref.first !== this.ordinal || !follows) {
      throw new MeridianError('CORRUPT', `${ref.key} does not follow the segment before it`, {
        details: { key: ref.key },
      });
    }
    const view = new ArchiveView(segment);
    for (const { header, frame } of segment.entries) {
      this.#apply(view, frame, header.timestamp, ref.key);
      const { lane, epoch, index, timestamp } = header;
      this.lanes[lane] = { epoch, index, timestamp };
      this.ordinal += 1;
      this.timestamp = timestamp;
    }
    this.#chain = ref.sha256;
    return view;
  }

  /** As an object of the archive. */
  encode(): Uint8Array {
    const { ordinal, timestamp, lanes, order } = this;
    return encodeState({ ordinal, timestamp, lanes, machine: [...order.snapshot()] });
  }

  /** What the order makes of it now must be what it made of it then. */
  #apply(
    { index }: ArchiveView,
    frame: Uint8Array,
    timestamp: Parameters<HashedOrderMachine['apply']>[1],
    key: string,
  ): void {
    const seen = new Set<string>();
    for (let offset = ENTRY_HEADER_BYTES; offset < frame.length;) {
      const batch = decodeBatchHeader(frame, offset);
      offset += batch.bytes;
      const outcome = this.order.apply(batch, timestamp);
      if (outcome.kind !== 'appended' || seen.has(batch.stream)) continue;
      seen.add(batch.stream);
      const archived = index.rows(batch.stream)?.firstSeqNumIn(this.ordinal);
      if (archived === outcome.firstSeqNum) continue;
      throw new MeridianError(
        'CORRUPT',
        `${key}: the order makes number ${outcome.firstSeqNum} of entry ${this.ordinal} in ${batch.stream}, the archive says otherwise`,
        { details: { key } },
      );
    }
  }
}
