/**
 * Where the stream stands, read from its end: which database it comes from, and up to where it holds that
 * database's log. The stream itself is the one witness (libs/postgres/SPEC.md F3): what the journal remembers
 * of writers also moves with appends that were refused for their token.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import {
  decodeChangeBatch,
  describeSource,
  sameSource,
} from '../../libs/postgres/change-format.ts';
import type { ChangeBatch, Source } from '../../libs/postgres/change-format.ts';
import { LSN_FIRST } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import type { ShipJournal } from './journal-port.ts';

/** Records looked at first, and how many times as many next: behind a large transaction it is far. */
const COUNT = 64;
const GROWTH = 16;
const COUNT_MAX = 2 ** 31;

/** Which database the stream comes from; null: it holds nothing. */
export async function sourceOf(journal: ShipJournal): Promise<Source | null> {
  return search(journal, ({ header }) => header.source);
}

/** Throws FENCED when the stream has gone on with another database. */
export async function refuseHandedOver(journal: ShipJournal, self: Source): Promise<void> {
  const source = await sourceOf(journal);
  if (source === null || sameSource(source, self)) return;
  throw new MeridianError(
    'FENCED',
    `the stream has been handed over: it comes from ${describeSource(source)} now. What this database ` +
      '(still) commits reaches nobody; `meridian pg rejoin` makes it a replica',
    { details: { current: describeSource(source), own: describeSource(self) } },
  );
}

/**
 * The LSN up to which the stream holds the log of this database; null: not even its initial copy is
 * complete. For whoever holds the lease: nobody else moves it meanwhile.
 */
export async function placeOf(journal: ShipJournal, self: Source): Promise<Lsn | null> {
  await refuseHandedOver(journal, self);
  const place = await search(journal, ({ header }) => {
    switch (header.kind) {
      case 'transaction':
        return header.final ? header.endLsn : null;
      case 'watermark':
      case 'handover':
        return header.lsn;
    }
  });
  return place === null || place < LSN_FIRST ? null : place;
}

/** The newest batch that gives something. */
async function search<T>(
  journal: ShipJournal,
  look: (batch: ChangeBatch) => T | null,
): Promise<T | null> {
  for (let count = COUNT; count < COUNT_MAX; count *= GROWTH) {
    const { batches, complete } = await journal.tail(count);
    for (const records of [...batches].reverse()) {
      const found = look(decodeChangeBatch(records));
      if (found !== null) return found;
    }
    if (complete) return null;
  }
  throw new MeridianError(
    'OUT_OF_RANGE',
    'the stream does not tell where it stands: was it trimmed?',
  );
}
