/**
 * After the faults: everything runs, votes, trusts its clock and writes its own lane; and when nothing is
 * appended any more, all replicas have released the same. That is demanded at the end of every scenario,
 * and makes it safe to use the cluster again.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { REGIONS } from '../cluster/wide-area.ts';
import { pause } from '../faults/fault.ts';

const POLL_MS = 100;

/** Null when it is healed within the deadline; else what is not, in words. */
export function untilWell(cluster: Cluster, deadlineMs: number): Promise<string | null> {
  return until(deadlineMs, async () => {
    for (const instance of cluster.layout.instances) {
      for (const region of REGIONS) {
        const { voting, clockSafe, lanes } = await cluster.status(instance, region);
        const who = `replica ${region} of ${instance}`;
        if (!voting) return `${who} does not vote`;
        if (!clockSafe) return `${who} does not trust its clock`;
        const sealed = lanes.filter(({ lane, writer }) => lane !== writer);
        if (sealed.length > 0) {
          return `${who} sees lane ${sealed.map(({ lane }) => lane).join(', ')} sealed`;
        }
      }
    }
    return null;
  });
}

/** The same, of: every replica votes. */
export function untilVoting(cluster: Cluster, deadlineMs: number): Promise<string | null> {
  return until(deadlineMs, async () => {
    for (const { name, instance, region } of cluster.replicas) {
      const { voting } = await cluster.status(instance, region);
      if (!voting) return `${name} does not vote`;
    }
    return null;
  });
}

/** The same, of: all replicas of each instance have released the same entries. */
export function untilEqual(cluster: Cluster, deadlineMs: number): Promise<string | null> {
  return until(deadlineMs, async () => {
    for (const instance of cluster.layout.instances) {
      const views = await Promise.all(
        REGIONS.map(async (region) => {
          const { releasedEntries, releaseHash } = await cluster.status(instance, region);
          return { region, at: `${String(releasedEntries)} entries, ${releaseHash}` };
        }),
      );
      if (new Set(views.map(({ at }) => at)).size > 1) {
        const seen = views.map(({ region, at }) => `${region}: ${at}`).join('; ');
        return `replicas of ${instance} have released different things: ${seen}`;
      }
    }
    return null;
  });
}

/** Names what ended although nobody ended it, with its last words; starts it again. */
export async function unexpectedEnds(cluster: Cluster): Promise<string[]> {
  const last = new Map<string, string>();
  for (const replica of cluster.replicas) {
    if (!replica.running) last.set(replica.name, replica.lastLines().slice(-3).join(' | '));
  }
  const names = await cluster.revive();
  return names.map((name) => `${name} ended by itself: ${last.get(name) ?? 'see its log'}`);
}

async function until(
  deadlineMs: number,
  problem: () => Promise<string | null>,
): Promise<string | null> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    let what: string | null;
    try {
      what = await problem();
    } catch (error) {
      what = error instanceof Error ? error.message : String(error);
    }
    if (what === null || performance.now() > deadline) return what;
    await pause(POLL_MS);
  }
}
