/** `meridian trim`: gives up the oldest records of a stream, for ever. */
import { UsageError } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { withJournal } from '../session.ts';

export function run(call: Invocation): Promise<number> {
  const { values } = call;
  const exact = values.number('before');
  const keep = values.number('keep');
  if ((exact === undefined) === (keep === undefined)) {
    throw new UsageError('how much? Give either --before or --keep', call.command);
  }
  return withJournal(call, async (journal) => {
    const stream = values.text('stream') ?? '';
    const fencingToken = values.number('fencing-token');
    const before = exact ?? Math.max(0, (await journal.checkTail(stream)).nextSeqNum - (keep ?? 0));
    const { firstSeqNum } = await journal.trim(stream, {
      before,
      ...(fencingToken === undefined ? {} : { fencingToken }),
    });
    call.output.document({ stream, firstSeqNum }, () =>
      values.flag('quiet') ? String(firstSeqNum) : `${stream}: the first record is #${firstSeqNum}`,
    );
    return EXIT.ok;
  });
}
