/**
 * `meridian archive clean`: what may be deleted follows from the order, which the journal service can execute, so
 * its own program does it, as a process, with the credentials of whoever calls; here its report is shown.
 */
import { MeridianError } from '../../../libs/errors/errors.ts';
import { UsageError } from '../arguments.ts';
import { placeOf } from '../archive-place.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { runProgram } from '../programs.ts';
import { bytesText, counted, timeText } from '../units.ts';

/** As services/journal/janitor.ts reports it. */
interface Report {
  readonly cluster: string;
  readonly instance: string;
  readonly first: number;
  readonly end: number;
  readonly goneTo: number;
  readonly removedSegments: number;
  readonly removedBytes: number;
  readonly deletedObjects: number;
  readonly waitingObjects: number;
  readonly unnamedObjects: number;
  readonly heldBy: string | null;
}

const GRACE_MS = 3_600_000;

export async function run({ values, output }: Invocation): Promise<number> {
  const rules = ['max-age', 'max-size', 'trimmed', 'unnamed'];
  if (!rules.some((rule) => values.has(rule))) {
    throw new UsageError(
      'what may go? Say --max-age, --max-size, --trimmed, --unnamed, or several of them',
    );
  }
  const dryRun = values.flag('dry-run');
  const task = {
    ...placeOf(values),
    retentionMs: values.number('max-age') ?? 0,
    retentionBytes: values.number('max-size') ?? 0,
    trims: values.flag('trimmed'),
    graceMs: values.number('grace') ?? GRACE_MS,
    unnamedMs: values.number('unnamed') ?? null,
    dryRun,
  };
  const program = 'journal/janitor-main.js';
  const { code, stdout, stderr } = await runProgram({ program, args: [JSON.stringify(task)] });
  if (code !== 0) throw new MeridianError('REFUSED', stderr.trim());
  const report = JSON.parse(stdout) as Report;
  output.document(report, () => {
    const { removedSegments, removedBytes, deletedObjects, waitingObjects, heldBy } = report;
    const { cluster, instance, goneTo, unnamedObjects } = report;
    const gone =
      goneTo === 0 ? 'nothing was ever deleted' : `all up to ${timeText(goneTo)} is gone`;
    return [
      `journal   cluster ${cluster}, instance ${instance}`,
      `${dryRun ? 'would go' : 'goes    '}  ${counted(removedSegments, 'segment')}, ${bytesText(removedBytes)}`,
      `deleted   ${deletedObjects} objects; ${waitingObjects} wait for readers of older manifests`,
      ...(unnamedObjects === 0 ? [] : [`unnamed   ${unnamedObjects} objects go in a later round`]),
      ...(heldBy === null ? [] : [`held by   ${heldBy}`]),
      `archive   ${gone}`,
    ].join('\n');
  });
  return EXIT.ok;
}
