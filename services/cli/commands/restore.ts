/**
 * `meridian restore`: what an archive's bytes mean is the journal service's knowledge, so its own program
 * restores, as a process; here its result is shown.
 */
import { resolve } from 'node:path';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { placeOf } from '../archive-place.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { runProgram } from '../programs.ts';
import { timeText } from '../units.ts';

/** As services/journal/restore.ts prints it. */
interface Restored {
  readonly directory: string;
  readonly cluster: string;
  readonly instance: string;
  readonly replica: number;
  readonly generation: number;
  readonly entries: number;
  readonly timestamp: number;
  readonly hash: string;
}

export async function run({ values, output }: Invocation): Promise<number> {
  const task = {
    ...placeOf(values),
    directory: resolve(values.text('directory') ?? ''),
    replica: values.number('replica') ?? 0,
    generation: values.number('generation') ?? 1,
  };
  const program = 'journal/restore-main.js';
  const { code, stdout, stderr } = await runProgram({ program, args: [JSON.stringify(task)] });
  if (code !== 0) throw new MeridianError('REFUSED', stderr.trim());
  const restored = JSON.parse(stdout) as Restored;
  output.document(restored, () => {
    const { directory, cluster, instance, replica, generation, entries, timestamp, hash } =
      restored;
    return [
      `restored     ${directory}`,
      `identity     cluster ${cluster}, instance ${instance}, replica ${replica}, generation ${generation}`,
      `content      ${entries} entries, order ${hash}`,
      `up to        ${timestamp} (${timeText(timestamp)}): the last archived position; nothing after it is restored`,
    ].join('\n');
  });
  return EXIT.ok;
}
