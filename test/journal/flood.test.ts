/**
 * P7 under load, with real replicas: a flood of many times the capacity is refused with a time to wait,
 * memory stays flat, others are served; a dead peer costs no memory; every bound is reached once.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MeridianError } from '../../libs/errors/errors.ts';
import { Ack, JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { Cluster, RawSession, TARGET, batchOf, until } from './cluster.ts';
import { Load } from './load.ts';

const MIB = 1 << 20;
const LIMITS = {
  windowBytes: 2 * MIB,
  unansweredBytesMax: 4 * MIB,
  inflightBytesMax: 2 * MIB,
  cacheBytesMax: 16 * MIB,
  peerQueueBytesMax: 2 * MIB,
  feedBytesMax: 2 * MIB,
  sessionsMax: 40,
  heartbeatsMax: 50,
};
const FLOODERS = 20;
const FLOOD_MS = 4_000;

let cluster: Cluster;
const channels: Channel[] = [];

beforeAll(async () => {
  cluster = new Cluster();
  cluster.overrides['limits'] = LIMITS;
  await cluster.start();
  await cluster.converged();
});
afterAll(async () => {
  for (const channel of channels) channel.close();
  await cluster.stop();
});

function newChannel(replica: number): Channel {
  const channel = connect(`127.0.0.1:${cluster.clientPorts[replica]}`);
  channels.push(channel);
  return channel;
}

function residentMiB(replica: number): number {
  const status = readFileSync(`/proc/${cluster.child(replica).pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** Sends two windows at once, again and again, whatever comes back. */
class Flooder {
  readonly refusals: MeridianError[] = [];
  answered = 0;
  readonly #channel: Channel;
  readonly #frames = Buffer.concat(
    Array.from({ length: 16 }, () => batchOf('flood', 'x'.repeat(120 * 1024))),
  );
  #stopped = false;
  readonly done: Promise<void>;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.done = this.#run();
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const session = new RawSession(this.#channel, Ack.QUORUM);
      session.sendFrames(this.#frames);
      session.sendFrames(this.#frames);
      // When the first window was answered before the second one came, both are served and nothing is refused.
      session.end();
      const error = await session.ended;
      this.answered += session.answered;
      if (error !== null) this.refusals.push(error);
      // As long as it was told to wait at most, and often not that long.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

describe('a replica', () => {
  it('refuses a flood with a time to wait, keeps its memory, and serves the others', async () => {
    const others = [1, 2].map((replica) => new Load(cluster.channel(replica), `other${replica}`));
    const flooders: Flooder[] = [];
    const resident: number[] = [];
    const unanswered: number[] = [];
    const answered = (): number => flooders.reduce((sum, flooder) => sum + flooder.answered, 0);
    const refusals = (): MeridianError[] => flooders.flatMap((flooder) => flooder.refusals);
    // Floors: it was a flood, and it was served as far as it goes.
    const isEnough = (): boolean => refusals().length > FLOODERS && answered() > 50;
    try {
      await until(() => others.every((load) => load.count > 50));
      for (let i = 0; i < FLOODERS; i += 1) flooders.push(new Flooder(newChannel(0)));
      const startedAt = performance.now();
      await until(async () => {
        resident.push(residentMiB(0));
        unanswered.push(Number((await cluster.status(0)).unansweredBytes));
        return performance.now() - startedAt >= FLOOD_MS && isEnough();
      });
      for (const flooder of flooders) flooder.stop();
      await Promise.all(flooders.map((flooder) => flooder.done));
      const endedAt = performance.now();
      for (const load of others) {
        expect(load.failures).toEqual([]);
        expect(load.longestGapMs(startedAt, endedAt)).toBeLessThan(2_000);
      }
    } finally {
      // Else a failure here would take the sessions that other tests count on.
      for (const flooder of flooders) flooder.stop();
      await Promise.all(others.map((load) => load.stop()));
    }
    expect(new Set(refusals().map(({ reason }) => reason))).toEqual(new Set(['OVERLOADED']));
    expect(refusals().every(({ noEffect }) => noEffect)).toBe(true);
    expect(refusals().some(({ details }) => Number(details['retryAfterMs']) > 0)).toBe(true);
    expect(Math.max(...unanswered)).toBeLessThanOrEqual(LIMITS.unansweredBytesMax);
    // The messages of all flooders may be in their connections' windows at once, and no more than that.
    expect(Math.max(...resident)).toBeLessThan((resident[0] ?? 0) + 350);
    await until(async () => (await cluster.status(0)).unansweredBytes === 0n);
  });

  it('keeps its memory while a peer is dead under load, and the peer catches up', async () => {
    const loads = [0, 1].map(
      (replica) =>
        new Load(cluster.channel(replica), `d${replica}`, {
          bytes: 64 * 1024,
          perSecond: 60,
          inflightMax: 16,
        }),
    );
    await until(() => loads.every((load) => load.count > 60));
    await cluster.kill(2);
    const before = loads.map((load) => load.count);
    const first = [0, 1].map(residentMiB);
    // 60 MiB, four times what caches and queues may hold.
    await until(() => loads.every((load, i) => load.count > (before[i] ?? 0) + 500));
    const last = [0, 1].map(residentMiB);
    await cluster.startReplica(2);
    await until(async () => {
      const [here, there] = await Promise.all([cluster.status(0), cluster.status(2)]);
      return there.releasedEntries > 500n && here.releasedEntries - there.releasedEntries < 50n;
    });
    for (const load of loads) {
      expect(load.failures).toEqual([]);
      await load.stop();
    }
    await cluster.converged();
    last.forEach((mebibytes, i) => {
      expect(mebibytes - (first[i] ?? 0)).toBeLessThan(80);
    });
  });

  it('refuses the session above `sessionsMax`, and takes one again when another has ended', async () => {
    const sessions: RawSession[] = [];
    for (let i = 0; i < LIMITS.sessionsMax; i += 1) {
      sessions.push(new RawSession(cluster.channel(1)));
    }
    sessions.at(-1)?.send('s', 'last');
    await sessions.at(-1)?.whenAnswered(1);
    const more = new RawSession(cluster.channel(1));
    expect(await more.ended).toMatchObject({
      reason: 'OVERLOADED',
      noEffect: true,
      details: { limit: String(LIMITS.sessionsMax) },
    });
    sessions[0]?.end();
    await sessions[0]?.ended;
    const again = new RawSession(cluster.channel(1));
    again.send('s', 'again');
    await again.whenAnswered(1);
    for (const session of [...sessions, again]) session.end();
    await Promise.all(sessions.map((session) => session.ended));
  });

  it('refuses heartbeats above `heartbeatsMax` while the others wait', async () => {
    for (const peer of [1, 2]) cluster.child(peer).signal('SIGSTOP');
    try {
      const calls = Array.from({ length: LIMITS.heartbeatsMax + 10 }, () =>
        cluster
          .channel(0)
          .unary(JournalService.method.heartbeat, { target: TARGET }, { deadlineMs: 3_000 })
          .then(
            () => 'answered',
            (error: unknown) => (error as MeridianError).reason,
          ),
      );
      const reasons = await Promise.all(calls);
      expect(reasons.filter((reason) => reason === 'OVERLOADED')).toHaveLength(10);
    } finally {
      for (const peer of [1, 2]) cluster.child(peer).signal('SIGCONT');
    }
    await cluster.converged();
  });
});
