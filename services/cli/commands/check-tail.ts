/** `meridian check-tail`. */
import type { Invocation } from '../invocation.ts';
import { withJournal } from '../session.ts';
import { timeOrNull, timeText } from '../units.ts';

export function run(call: Invocation): Promise<number> {
  return withJournal(call, async (journal) => {
    const stream = call.values.text('stream') ?? '';
    const { nextSeqNum, timestamp, readPoint } = await journal.checkTail(stream);
    const value = { stream, nextSeqNum, timestamp, time: timeOrNull(timestamp), readPoint };
    call.output.document(value, () => {
      if (call.values.flag('quiet')) return String(nextSeqNum);
      const last = timestamp === 0 ? 'no record yet' : `last record ${timeText(timestamp)}`;
      return `${stream}: next number ${nextSeqNum}, ${last}`;
    });
    return 0;
  });
}
