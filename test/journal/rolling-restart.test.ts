/** Going down and coming back on purpose: no client notices more than a moment's wait. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectJournal } from '../../libs/client/journal.ts';
import type { Journal } from '../../libs/client/journal.ts';
import { Cluster, DEADLINE_MS, RawSession, TARGET, until } from './cluster.ts';

const ALL = [0, 1, 2];
/** Far below the time that answers are waited for. */
const AT_ONCE_MS = 4_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = new Cluster();
  await cluster.start();
  await cluster.converged();
});
afterAll(async () => {
  await cluster.stop();
});

/** Appends through the client library, one after the other, until stopped. */
function appending(journal: Journal, ack: 'QUORUM' | 'ORDERED') {
  const seen = { count: 0, failures: [] as string[], stopped: false };
  const run = async (): Promise<void> => {
    const records = [{ body: Buffer.alloc(200) }];
    while (!seen.stopped) {
      try {
        await journal.append('s', records, { ack });
        seen.count += 1;
      } catch (error) {
        seen.failures.push(error instanceof Error ? error.message : String(error));
      }
    }
  };
  const done = run();
  return {
    seen,
    stop: async (): Promise<void> => {
      seen.stopped = true;
      await done;
    },
  };
}

describe('three replicas', () => {
  it('are restarted one after the other without a failed append', async () => {
    const replicas = ALL.map((replica) => ({
      region: `r${replica}`,
      address: `127.0.0.1:${cluster.clientPorts[replica]}`,
    }));
    const journals = ALL.map((replica) => {
      const target = { cluster: TARGET.cluster, instance: TARGET.instance };
      return connectJournal({ ...target, replicas, region: `r${replica}` });
    });
    const loads = journals.flatMap((journal) => [
      appending(journal, 'QUORUM'),
      appending(journal, 'ORDERED'),
    ]);
    try {
      for (const replica of ALL) {
        const before = loads.map(({ seen }) => seen.count);
        expect(await cluster.child(replica).stop()).toEqual({ code: 0, signal: null });
        await cluster.startReplica(replica);
        await cluster.converged();
        await until(() => loads.every(({ seen }, i) => seen.count > (before[i] ?? 0) + 20));
      }
    } finally {
      await Promise.all(loads.map((load) => load.stop()));
      for (const journal of journals) await journal.close();
    }
    expect(loads.flatMap(({ seen }) => seen.failures)).toEqual([]);
    // The floor: with fewer appends nothing would be proved.
    expect(Math.min(...loads.map(({ seen }) => seen.count))).toBeGreaterThan(60);
    const entries = await cluster.converged();
    expect(entries).toBeGreaterThan(100n);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'end at once by a second signal, %s, while they still wait for answers',
    async (signal) => {
      const session = new RawSession(cluster.channel(0));
      session.send('s', 'before');
      await session.whenAnswered(1);
      for (const peer of [1, 2]) cluster.child(peer).signal('SIGSTOP');
      try {
        session.send('s', 'unanswered');
        await until(async () => {
          return (await cluster.status(0)).unansweredBytes > 0n;
        });
        cluster.child(0).signal('SIGTERM');
        await until(() =>
          cluster
            .child(0)
            .lastLines()
            .some((line) => line.includes('"stopping"')),
        );
        const askedAt = performance.now();
        cluster.child(0).signal(signal);
        expect(await cluster.child(0).exited).toEqual({ code: 1, signal: null });
        expect(performance.now() - askedAt).toBeLessThan(AT_ONCE_MS);
      } finally {
        for (const peer of [1, 2]) cluster.child(peer).signal('SIGCONT');
      }
      await cluster.startReplica(0);
      await cluster.converged();
    },
    DEADLINE_MS,
  );
});
