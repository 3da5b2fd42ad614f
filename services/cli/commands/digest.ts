/** `meridian digest`: did all replicas release the same? */
import { setTimeout as pause } from 'node:timers/promises';
import { columns } from '../columns.ts';
import { compareReleases } from '../comparison.ts';
import type { Comparison, Side } from '../comparison.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { Replicas } from '../replicas.ts';
import type { StatusAnswer } from '../replicas.ts';
import { withJournal } from '../session.ts';
import { timeOrNull, timeText } from '../units.ts';

const WAIT_MS = 5_000;
const POLL_MS = 50;

export function run(call: Invocation): Promise<number> {
  const waitMs = call.values.number('wait') ?? WAIT_MS;
  return withJournal(call, async (journal, endpoint) => {
    const replicas = new Replicas(endpoint);
    try {
      const until = performance.now() + waitMs;
      // Everything completed before this command is to be covered, if the replicas get there in time.
      const readPoint = await journal
        .heartbeat({ deadlineMs: Math.max(1, waitMs) })
        .then((answer) => answer.readPoint)
        .catch(() => 0);
      for (;;) {
        const answers = await replicas.status();
        const comparison = compareReleases(sidesOf(answers));
        const covered = answers.every(
          ({ status }) => status === null || Number(status.watermark) >= readPoint,
        );
        const settled = covered && comparison.equal !== null;
        if (settled || performance.now() >= until)
          return report(call, answers, comparison, covered);
        await pause(POLL_MS);
      }
    } finally {
      replicas.close();
    }
  });
}

function sidesOf(answers: readonly StatusAnswer[]): Side[] {
  return answers.flatMap(({ region, status }) => (status === null ? [] : [{ region, status }]));
}

function report(
  call: Invocation,
  answers: readonly StatusAnswer[],
  comparison: Comparison,
  covered: boolean,
): number {
  const { equal, entries, timestamp, hashes, agreedEntries } = comparison;
  const missing = answers.filter(({ status }) => status === null).map(({ region }) => region);
  const value = {
    equal,
    entries,
    timestamp,
    time: timeOrNull(timestamp),
    covered,
    agreedEntries,
    missing,
    replicas: sidesOf(answers).map(({ region, status }) => ({
      region,
      hash: hashes.find((each) => each.region === region)?.hash ?? null,
      releasedEntries: Number(status.releasedEntries),
      releaseHash: status.releaseHash,
      watermark: Number(status.watermark),
    })),
  };
  call.output.document(value, () => {
    const rows = hashes.map(({ region, hash }) => [region, hash]);
    return `${verdictOf(comparison)}\n${columns(rows, { indent: '  ' })}`;
  });
  for (const region of missing) call.output.warn(`${region} does not answer and was not compared`);
  if (!covered) call.output.warn('not every replica has released what was completed before');
  if (equal === false) return EXIT.no;
  const compared = answers.length - missing.length;
  return equal === null || missing.length > 0 || compared < 2 ? EXIT.unavailable : EXIT.ok;
}

function verdictOf({ equal, entries, timestamp, agreedEntries }: Comparison): string {
  if (equal === null) return 'nothing to compare: the replicas have no number of entries in common';
  const place = `${entries} entries (${timeText(timestamp)})`;
  if (equal) return `equal after ${place}`;
  const since = agreedEntries === 0 ? 'nowhere before' : `last after ${agreedEntries} entries`;
  return `DIFFERENT after ${place}; equal ${since}`;
}
