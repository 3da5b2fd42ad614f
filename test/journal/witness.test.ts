/**
 * A witness with real processes: the third replica only votes. Appends commit with it alone; what it alone
 * still has of the home's log is what the emptied home recovers; clients are sent elsewhere; and its log follows
 * the others', though nothing tells it how much to keep.
 */
import { readdirSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectJournal } from '../../libs/client/client.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import {
  Cluster,
  DEADLINE_MS,
  RawSession,
  TARGET,
  readAll,
  readSettled,
  until,
} from './cluster.ts';

const WITNESS = 2;
const SIZES = { segmentBytes: 65_536, checkpointBytes: 65_536 };

class WithWitness extends Cluster {
  override configOf(replica: number): Record<string, unknown> {
    const own =
      replica === WITNESS
        ? { witness: true, limits: SIZES }
        : { limits: { ...SIZES, retentionBytes: 131_072 } };
    return { ...super.configOf(replica), ...own };
  }
}

const cluster = new WithWitness();
let appended = 0;

beforeAll(async () => {
  await cluster.start();
});
afterAll(async () => {
  await cluster.stop();
});

function append(replica: number, count: number, bytes = 0): Promise<void> {
  return cluster.appendEach(replica, count, () =>
    `${replica}-${(appended += 1)}`.padEnd(bytes, '.'),
  );
}

it('refuses clients by name, and a client library that is nearest to it works through the others', async () => {
  expect(await cluster.status(WITNESS)).toMatchObject({ voting: true, witness: true });
  expect(await cluster.status(0)).toMatchObject({ witness: false });
  const refusal = { reason: 'UNAVAILABLE', noEffect: true, details: { witness: 'r2' } };
  expect(await new RawSession(cluster.channel(WITNESS)).ended).toMatchObject(refusal);
  await expect(readAll(cluster.channel(WITNESS))).rejects.toMatchObject(refusal);
  const { heartbeat } = JournalService.method;
  const beat = cluster.channel(WITNESS).unary(heartbeat, { target: TARGET }, { deadlineMs: 5000 });
  await expect(beat).rejects.toMatchObject(refusal);
  const journal = connectJournal({
    ...TARGET,
    region: 'r2',
    replicas: [0, 1, 2].map((replica) => ({
      region: `r${replica}`,
      address: `127.0.0.1:${cluster.clientPorts[replica]}`,
    })),
    deadlineMs: DEADLINE_MS,
  });
  const { region } = await journal.append('t', [{ body: Buffer.from('x') }]);
  expect(['r0', 'r1']).toContain(region);
  expect(await journal.checkTail('t')).toMatchObject({ nextSeqNum: 1 });
  await journal.close();
});

it('commits appends with the home alone, and gives them back to the home that lost its disk', async () => {
  await append(0, 5);
  await append(1, 5);
  await cluster.kill(1);
  await append(0, 10);
  await cluster.kill(0);
  // Now the witness alone holds the last ten.
  rmSync(cluster.dataOf(0), { recursive: true });
  await cluster.launch(0);
  await cluster.launch(1);
  await until(async () => (await cluster.status(0)).voting, 2 * DEADLINE_MS);
  await append(0, 3);
  await append(1, 3);
  await cluster.converged();
  for (const replica of [0, 1]) {
    const { bodies } = await readSettled(cluster, replica);
    expect(bodies.filter((body) => body !== 'x')).toHaveLength(appended);
  }
}, 300_000);

it('lets go of the log that both others have let go of', async () => {
  const first = '0000000001.log';
  const has = (replica: number): boolean => readdirSync(cluster.dataOf(replica)).includes(first);
  expect(has(WITNESS)).toBe(true);
  await until(async () => {
    await append(0, 10, 20_000);
    return !has(0) && !has(1) && !has(WITNESS);
  }, 2 * DEADLINE_MS);
  await cluster.converged();
}, 300_000);
