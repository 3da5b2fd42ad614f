/**
 * T5 with real processes: with a promised bound on the error of all clocks, a QUORUM answer waits until
 * it has surely passed, by a measurement of chrony or ClockBound; without one nothing is stamped.
 */
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ack } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { Cluster, RawSession, until } from './cluster.ts';

const MAX_ERROR_MS = 60;
/** So long that no lane is sealed while the order stands still. */
const SEAL_TIMEOUT_MS = 10_000;

let cluster: Cluster;
let report: string;
let segment: string;

/** What `chronyc -c tracking` says from now on. */
function chronySays(errorMs: number): void {
  writeFileSync(
    report,
    `A9FEA97B,169.254.169.123,4,1763716212.104515076,0.000000000,-0.000000612,0.000002345,` +
      `-12.345,0.001,0.012,0.000000000,${(errorMs / 1000).toFixed(9)},16.1,Normal\n`,
  );
}

/** What ClockBound's shared memory says; for the next half minute. */
function clockBoundSays(errorMs: number): void {
  const bytes = Buffer.alloc(80);
  Buffer.from([0x41, 0x4d, 0x5a, 0x4e, 0x43, 0x42, 2, 0]).copy(bytes);
  bytes.writeUInt32LE(80, 8);
  bytes.writeUInt16LE(2, 12);
  bytes.writeUInt16LE(2, 14);
  const seconds = process.hrtime.bigint() / 1_000_000_000n;
  bytes.writeBigInt64LE(seconds, 16);
  bytes.writeBigInt64LE(seconds + 30n, 32);
  bytes.writeBigInt64LE(BigInt(errorMs * 1_000_000), 48);
  bytes.writeInt32LE(1, 68);
  writeFileSync(segment, bytes);
}

/** How long a QUORUM append took, ms; why it was refused. */
async function append(replica: number): Promise<number | string> {
  const session = new RawSession(cluster.channel(replica), Ack.QUORUM);
  const sentAt = performance.now();
  session.send('s', 'x');
  try {
    await session.whenAnswered(1);
  } catch (error) {
    return (error as { reason?: string }).reason ?? 'failed';
  }
  const tookMs = performance.now() - sentAt;
  session.end();
  return tookMs;
}

/**
 * The least of five, while the order stands still: an append that is released is answered at once,
 * because no clock matters any more.
 */
async function leastMs(replica: number): Promise<number> {
  cluster.child(2).signal('SIGSTOP');
  try {
    // What was under way before is done with.
    await append(replica);
    const took: number[] = [];
    for (let round = 0; round < 5; round += 1) took.push(Number(await append(replica)));
    expect(Math.max(...took)).toBeLessThan(SEAL_TIMEOUT_MS / 2);
    return Math.min(...took);
  } finally {
    cluster.child(2).signal('SIGCONT');
    await until(async () => typeof (await append(2)) === 'number');
  }
}

beforeAll(async () => {
  cluster = new Cluster();
  report = join(cluster.directory, 'tracking');
  segment = join(cluster.directory, 'shm0');
  const chronyc = join(cluster.directory, 'chronyc');
  writeFileSync(chronyc, `#!/bin/sh\nexec cat ${report}\n`);
  chmodSync(chronyc, 0o755);
  chronySays(1);
  cluster.overrides['timings'] = {
    maxClockErrorMs: MAX_ERROR_MS,
    sealTimeoutMs: SEAL_TIMEOUT_MS,
  };
  cluster.overrides['clock'] = { errorSource: 'chrony', chronycCommand: chronyc, refreshMs: 50 };
  await cluster.start();
  await cluster.converged();
  await until(async () => typeof (await append(0)) === 'number');
});
afterAll(async () => {
  await cluster.stop();
});

describe('with a bound on the error of the clocks, a QUORUM append', () => {
  it('is answered once the measured error and the bound of the others have passed', async () => {
    expect(await leastMs(0)).toBeGreaterThan(MAX_ERROR_MS);
    chronySays(50);
    await until(async () => (await leastMs(0)) > MAX_ERROR_MS + 49);
  });

  it('is refused while chrony measures more, or has not answered for so long that it may be more', async () => {
    chronySays(MAX_ERROR_MS + 1);
    await until(async () => (await append(0)) === 'CLOCK_UNSAFE');
    // The reading ages by 0.1 %: half a second from here to the bound.
    chronySays(MAX_ERROR_MS - 0.5);
    await until(async () => typeof (await append(0)) === 'number');
    rmSync(report);
    await until(async () => (await append(0)) === 'CLOCK_UNSAFE');
    chronySays(1);
    await until(async () => typeof (await append(0)) === 'number');
  });

  it('takes the word of ClockBound as well', async () => {
    await cluster.kill(1);
    cluster.overrides['clock'] = {
      errorSource: 'clockbound',
      clockBoundFile: segment,
      refreshMs: 50,
    };
    await cluster.launch(1);
    await until(async () => (await append(1)) === 'CLOCK_UNSAFE');
    clockBoundSays(2);
    await until(async () => typeof (await append(1)) === 'number');
    expect(await leastMs(1)).toBeGreaterThan(MAX_ERROR_MS);
  });
});
