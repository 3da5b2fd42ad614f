/**
 * `meridian verify`: what a data directory's bytes mean is the journal service's knowledge, so its own
 * program checks, as a process; here its report is shown.
 */
import { resolve } from 'node:path';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { columns } from '../columns.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { runProgram } from '../programs.ts';
import { bytesText, counted, timeText } from '../units.ts';

/** As services/journal/verify.ts prints it. */
interface Report {
  readonly directory: string;
  readonly sound: boolean;
  readonly identity: {
    readonly cluster: string;
    readonly instance: string;
    readonly replica: number;
    readonly generation: number;
  } | null;
  readonly inUseBy: number | null;
  readonly segments: readonly { readonly file: string; readonly bytes: number }[];
  readonly frames: number;
  readonly entries: number;
  readonly records: number;
  readonly lanes: readonly {
    readonly lane: number;
    readonly firstIndex: number;
    readonly lastIndex: number;
    readonly lastEpoch: number;
    readonly lastTimestamp: number;
    readonly promised: number;
  }[];
  readonly checkpoints: readonly { readonly file: string }[];
  readonly aside: readonly string[];
  readonly unfinishedBytes: number;
  readonly closed: boolean;
  readonly findings: readonly {
    readonly file: string;
    readonly offset: number;
    readonly problem: string;
  }[];
}

export async function run(call: Invocation): Promise<number> {
  const directory = resolve(call.values.text('directory') ?? '');
  const program = 'journal/verify-main.js';
  const { code, stdout, stderr } = await runProgram({ program, args: [directory] });
  if (code !== 0 && code !== EXIT.no) {
    if (code === 1 && stdout === '') {
      call.output.warn(stderr.trim());
      return EXIT.notFound;
    }
    throw new MeridianError('UNAVAILABLE', `${program} ended with ${code}: ${stderr.trim()}`);
  }
  const report = JSON.parse(stdout) as Report;
  call.output.document(report, () => reportText(report));
  return report.sound ? EXIT.ok : EXIT.no;
}

function reportText(report: Report): string {
  const { identity, inUseBy, segments, frames, entries, records, unfinishedBytes } = report;
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const whose =
    identity === null
      ? 'unreadable'
      : `cluster ${identity.cluster}, instance ${identity.instance}, replica ${identity.replica}, generation ${identity.generation}`;
  const end = report.closed
    ? 'closed in order'
    : unfinishedBytes === 0
      ? 'not closed: the replica runs or was killed'
      : `${unfinishedBytes} bytes of an unfinished write, which the next start cuts`;
  const lines = [
    `directory    ${report.directory}`,
    `identity     ${whose}`,
    ...(inUseBy === null ? [] : [`in use       by process ${inUseBy}`]),
    `log          ${counted(segments.length, 'segment')}, ${bytesText(bytes)}, ${counted(frames, 'frame')}; ${end}`,
    `content      ${entries} entries, ${records} records`,
    `checkpoints  ${report.checkpoints.length}`,
    ...(report.aside.length === 0 ? [] : [`set aside    ${report.aside.join(', ')}`]),
  ];
  const head = ['lane', 'entries', 'epoch', 'promised', 'last'];
  const rows = report.lanes.map(({ lane, firstIndex, lastIndex, lastEpoch, promised, ...rest }) => [
    String(lane),
    firstIndex === 0 ? 'none' : `${firstIndex}–${lastIndex}`,
    String(lastEpoch),
    String(promised),
    timeText(rest.lastTimestamp),
  ]);
  const findings = report.findings.map(
    ({ file, offset, problem }) => `  ${file}, offset ${offset}: ${problem}\n`,
  );
  const verdict = report.sound ? 'sound\n' : `DAMAGED\n${findings.join('')}`;
  return `${lines.join('\n')}\n\n${columns([head, ...rows], { indent: '  ' })}\n${verdict}`;
}
