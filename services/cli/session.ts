/** A journal for the length of one command: connected when it is needed, closed whatever happens. */
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import type { JournalOptions } from '../../libs/client/types.ts';
import type { Invocation } from './invocation.ts';

export async function withJournal<T>(
  call: Invocation,
  use: (journal: Journal, endpoint: JournalOptions) => Promise<T>,
): Promise<T> {
  const endpoint = await call.endpoint();
  const journal = connectJournal(endpoint);
  try {
    return await use(journal, endpoint);
  } finally {
    await journal.close({ drainMs: 0 });
  }
}
