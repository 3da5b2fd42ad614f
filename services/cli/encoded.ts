/** Bytes of an argument that is written in an encoding: a key, the value of a header. */
import { decodeText } from '../../libs/frames/text-encoding.ts';
import type { Encoding } from '../../libs/frames/text-encoding.ts';
import { UsageError } from './arguments.ts';
import type { Invocation } from './invocation.ts';

/** Throws a usage error that names `what` the text was meant for. */
export function bytesFrom(
  text: string,
  encoding: Encoding,
  what: string,
  call: Invocation,
): Uint8Array {
  const bytes = decodeText(text, encoding);
  if (bytes !== null) return bytes;
  throw new UsageError(`${what} ${text}: not ${encoding}`, call.command);
}
