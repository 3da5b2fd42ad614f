/** `npm run chaos -- availability`: the table, and which of the targets it meets. */
import { mkdirSync } from 'node:fs';
import { ToxiproxyServer } from './cluster/toxiproxy-server.ts';
import { etcdVersion, findEtcd } from './cluster/etcd-program.ts';
import { measureAvailability } from './scenarios/availability.ts';
import type { Gaps, Row } from './scenarios/availability.ts';

/** For clients of regions that the fault does not strike, milliseconds. */
const APPENDS_MS_MAX = 250;
const READS_MS_MAX = 500;

export interface AvailabilityResult {
  readonly rows: readonly Row[];
  readonly passed: number;
  readonly failed: number;
}

export async function availability(options: {
  readonly directory: string;
  readonly seed: number;
  readonly print: (line: string) => void;
  readonly onEvent: (text: string) => void;
}): Promise<AvailabilityResult> {
  const { directory, print } = options;
  mkdirSync(directory, { recursive: true });
  const etcd = etcdVersion(findEtcd());
  const server = await ToxiproxyServer.open(directory, options.onEvent);
  try {
    const problems: string[] = [];
    const onProblem = (text: string): void => void problems.push(text);
    const rows = await measureAvailability({ ...options, server, onProblem });
    for (const line of tableOf(rows, etcd)) print(line);
    const targets = rows.flatMap(targetsOf);
    for (const { what, met } of targets) if (!met) print(`missed: ${what}`);
    for (const problem of problems) print(problem);
    const passed = targets.filter(({ met }) => met).length;
    return { rows, passed, failed: targets.length - passed + problems.length };
  } finally {
    await server.close();
  }
}

export function tableOf(rows: readonly Row[], etcdVersionText: string): string[] {
  const cells = (gaps: Gaps | null): string =>
    gaps === null
      ? '– | –'
      : [
          `${gaps.appendsElsewhere} / ${gaps.appendsThere}`,
          `${gaps.readsElsewhere} / ${gaps.readsThere}`,
        ].join(' | ');
  return [
    `| longest gap in ms, elsewhere / in the region struck | appends | reads | epoch changes | etcd ${etcdVersionText}: writes | reads |`,
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map(
      ({ fault, meridian, etcd }) =>
        `| ${fault} | ${cells(meridian)} | ${meridian.epochChanges} | ${cells(etcd)} |`,
    ),
  ];
}

function targetsOf({ fault, isLink, meridian }: Row): { what: string; met: boolean }[] {
  const target = (what: string, value: number, most: number) => ({
    what: `${fault}: ${what} ${String(value)}, expected at most ${String(most)}`,
    met: value <= most,
  });
  return [
    target('append gap elsewhere', meridian.appendsElsewhere, APPENDS_MS_MAX),
    target('read gap elsewhere', meridian.readsElsewhere, READS_MS_MAX),
    ...(isLink ? [target('epoch changes', meridian.epochChanges, 0)] : []),
  ];
}
