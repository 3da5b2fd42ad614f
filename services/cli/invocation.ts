/** What a command gets to run: its values, the way out, and where the journal is. */
import type { JournalOptions } from '../../libs/client/types.ts';
import type { Values } from './arguments.ts';
import type { Output } from './output.ts';
import type { CommandSpec } from './spec.ts';

export interface Invocation {
  readonly command: CommandSpec;
  readonly values: Values;
  readonly output: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where the journal is, from options, environment and configuration file; throws UsageError. */
  endpoint(): Promise<JournalOptions>;
  /**
   * Aborted by Ctrl-C, SIGTERM, or when nobody reads the output any more. A command that asks for it
   * ends by itself then; for one that does not, the signal ends the process at once.
   */
  interrupted(): AbortSignal;
}
