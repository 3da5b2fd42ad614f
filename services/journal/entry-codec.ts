/** Between the lane core's entries and entry frames (libs/frames/SPEC.md). */
import { encodeEntry, verifyEntry } from '../../libs/frames/entry.ts';
import type { EntryHeader } from '../../libs/lane/types.ts';
import type { Frame, JournalEntry, PendingAppend } from './content.ts';

/** Builds the one contiguous frame that goes to the log, to both peers and to readers. */
export function assembleEntry(
  header: EntryHeader,
  appends: readonly PendingAppend[],
): { content: Frame; bytes: number } {
  const content = encodeEntry(
    header,
    appends.map((append) => append.frame),
  );
  return { content, bytes: content.length };
}

/** Takes a frame from a peer or the log, alone in its bytes. Throws `INVALID`. */
export function readEntry(frame: Frame): JournalEntry {
  const { lane, epoch, index, timestamp, kind, bytes } = verifyEntry(frame);
  return { lane, epoch, index, timestamp, kind, bytes, content: frame };
}
