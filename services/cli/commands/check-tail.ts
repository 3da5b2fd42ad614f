/** `meridian check-tail`: linearizable, or one replica's own view when that is asked for. */
import type { Journal } from '../../../libs/client/client.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { withJournal } from '../session.ts';
import { timeOrNull, timeText } from '../units.ts';

export function run(call: Invocation): Promise<number> {
  return withJournal(call, async (journal, { region }) => {
    const stream = call.values.text('stream') ?? '';
    if (call.values.flag('local')) return localTail(call, journal, stream, region);
    const { nextSeqNum, timestamp, readPoint } = await journal.checkTail(stream);
    const value = { stream, nextSeqNum, timestamp, time: timeOrNull(timestamp) };
    call.output.document({ ...value, readPoint, local: null }, () => {
      if (call.values.flag('quiet')) return String(nextSeqNum);
      return `${stream}: next number ${nextSeqNum}, ${lastText(timestamp)}`;
    });
    return EXIT.ok;
  });
}

async function localTail(
  call: Invocation,
  journal: Journal,
  stream: string,
  region: string | undefined,
): Promise<number> {
  const tail = await journal.localTail(stream, region === undefined ? {} : { region });
  const { localNextSeqNum, localFirstSeqNum, localTimestamp, watermark, stalled } = tail;
  const value = {
    stream,
    nextSeqNum: localNextSeqNum,
    timestamp: localTimestamp,
    time: timeOrNull(localTimestamp),
    readPoint: null,
    local: { firstSeqNum: localFirstSeqNum, watermark, stalled },
  };
  call.output.document(value, () => {
    if (call.values.flag('quiet')) return String(localNextSeqNum);
    const view = `as one replica saw it up to ${timeText(watermark)}`;
    const still = stalled ? '; its view stands still' : '';
    return `${stream}: next number ${localNextSeqNum}, ${lastText(localTimestamp)}, ${view}${still}`;
  });
  return EXIT.ok;
}

function lastText(timestamp: number): string {
  return timestamp === 0 ? 'no record yet' : `last record ${timeText(timestamp)}`;
}
