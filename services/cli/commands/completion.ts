/** `meridian completion`. */
import { completionScript } from '../completion.ts';
import type { Invocation } from '../invocation.ts';

export function run({ values, output }: Invocation): Promise<number> {
  output.raw(completionScript(values.text('shell') ?? 'bash'));
  return Promise.resolve(0);
}
