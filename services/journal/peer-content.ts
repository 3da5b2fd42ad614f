/** The bytes of an entry for a peer, and what it means when the own disk does not give them. */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Frame, JournalEntry } from './content.ts';
import type { LaneStore } from './lane-store.ts';

/** The function throws UNAVAILABLE where the link must begin anew; what else is wrong ends the process. */
export function contentForPeers(
  store: Pick<LaneStore, 'hasLeft' | 'contentOf'>,
  fatal: (error: unknown, what: string) => void,
): (entry: JournalEntry) => Frame {
  return (entry) => {
    if (entry.content === null && store.hasLeft(entry.lane, entry.index)) {
      // It waited for a slow peer while it left the log: the link begins anew, from the base.
      throw new MeridianError('UNAVAILABLE', 'an entry under way has left the log');
    }
    try {
      return store.contentOf(entry);
    } catch (error) {
      // It is being repaired: until then the link begins anew.
      if (error instanceof MeridianError && error.reason === 'UNAVAILABLE') throw error;
      // A peer must not be told that bytes are there which are not.
      fatal(error, 'an entry of the log cannot be read back for a peer');
      throw error;
    }
  };
}
