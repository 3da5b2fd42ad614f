/** `meridian fence`: a higher fencing token for a stream. */
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { withJournal } from '../session.ts';

export function run(call: Invocation): Promise<number> {
  return withJournal(call, async (journal) => {
    const stream = call.values.text('stream') ?? '';
    const wanted = call.values.number('token');
    const expected = call.values.number('expected');
    const { token } = await journal.fence(stream, {
      ...(wanted === undefined ? {} : { token: wanted }),
      ...(expected === undefined ? {} : { expected }),
    });
    call.output.document({ stream, token }, () =>
      call.values.flag('quiet') ? String(token) : `${stream}: fencing token ${token}`,
    );
    return EXIT.ok;
  });
}
