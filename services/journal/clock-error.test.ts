import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ClockErrorWatch, chronySource, clockBoundSource } from './clock-error.ts';
import { chronyError, clockBoundError } from './clock-readings.ts';

/** Recorded on a machine that follows a server 0.3 ms away. */
const TRACKING =
  'A9FEA97B,169.254.169.123,4,1763716212.104515076,-0.000001234,-0.000000612,0.000002345,' +
  '-12.345,0.001,0.012,0.000456789,0.000123456,16.1,Normal\n';

describe('the error of the clock by chrony', () => {
  it('is its offset, the dispersion and half the delay to the root', () => {
    expect(chronyError(TRACKING)).toBe(Math.ceil(1.234 + 123.456 + 456.789 / 2));
  });

  it.each([
    ['a clock that is not synchronised', TRACKING.replace('Normal', 'Not synchronised')],
    ['another number of fields', '506 Cannot talk to daemon\n'],
    ['no numbers', TRACKING.replace('0.000123456', 'much')],
    ['nothing', ''],
  ])('is unknown with %s', (_what, report) => {
    expect(() => chronyError(report)).toThrow(expect.objectContaining({ reason: 'UNAVAILABLE' }));
  });
});

interface Segment {
  readonly version: number;
  readonly generation: number;
  readonly asOf: number;
  readonly voidAfter: number;
  readonly boundNanos: bigint;
  readonly driftPpb: number;
  readonly status: number;
}

/** Seconds are those of the monotonic clock. */
function segment(change: Partial<Segment> = {}): Buffer {
  const all = { version: 2, generation: 8, asOf: 100, voidAfter: 1_100, status: 1, ...change };
  const bytes = Buffer.alloc(80);
  Buffer.from([0x41, 0x4d, 0x5a, 0x4e, 0x43, 0x42, 2, 0]).copy(bytes);
  bytes.writeUInt32LE(80, 8);
  bytes.writeUInt16LE(all.version, 12);
  bytes.writeUInt16LE(all.generation, 14);
  bytes.writeBigInt64LE(BigInt(all.asOf), 16);
  bytes.writeBigInt64LE(BigInt(all.voidAfter), 32);
  bytes.writeBigInt64LE(change.boundNanos ?? 250_000n, 48);
  bytes.writeUInt32LE(change.driftPpb ?? 15_000, 64);
  bytes.writeInt32LE(all.status, 68);
  return bytes;
}

const at = (seconds: number): bigint => BigInt(seconds) * 1_000_000_000n;

describe('the error of the clock by ClockBound', () => {
  it('is the bound, grown by the drift since it was made', () => {
    expect(clockBoundError(segment(), at(100))).toBe(250);
    expect(clockBoundError(segment(), at(110))).toBe(400);
    expect(clockBoundError(segment({ status: 2 }), at(100))).toBe(250);
  });

  it('is to be read again while it is written', () => {
    expect(clockBoundError(segment({ generation: 9 }), at(100))).toBeNull();
  });

  it.each([
    ['another version', segment({ version: 3 })],
    ['a segment never written', segment({ generation: 0 })],
    ['an unknown status', segment({ status: 0 })],
    ['a disrupted clock', segment({ status: 3 })],
    ['a bound that has run out', segment({ voidAfter: 99 })],
    ['a bound of the future', segment({ asOf: 101 })],
    ['a negative bound', segment({ boundNanos: -1n })],
    ['too few bytes', segment().subarray(0, 71)],
    ['another magic', Buffer.alloc(80)],
  ])('is unknown with %s', (_what, bytes) => {
    expect(() => clockBoundError(bytes, at(100))).toThrow(
      expect.objectContaining({ reason: 'UNAVAILABLE' }),
    );
  });
});

describe('the watch over it', () => {
  it('goes on asking, and tells once that it cannot be read and once that it can', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'meridian-clock-'));
    const file = join(directory, 'shm0');
    const told: (string | null)[] = [];
    const readings: number[] = [];
    const watch = new ClockErrorWatch({
      source: clockBoundSource(file),
      refreshMs: 1,
      onReading: (micros) => readings.push(micros),
      onChange: (why) => told.push(why === null ? null : 'unreadable'),
    });
    const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
    const now = Number(process.hrtime.bigint() / 1_000_000_000n);
    watch.start();
    for (let i = 0; i < 20; i += 1) await turn();
    writeFileSync(file, segment({ asOf: now - 1, voidAfter: now + 1_000 }));
    while (readings.length < 3) await turn();
    rmSync(directory, { recursive: true });
    while (told.length < 3) await turn();
    watch.stop();
    expect(told).toEqual(['unreadable', null, 'unreadable']);
    expect(Math.min(...readings)).toBeGreaterThanOrEqual(250);
  });

  it('tells that chronyc is not there', async () => {
    const why = await new Promise((resolve) => {
      chronySource('/nowhere/chronyc')(resolve, resolve);
    });
    expect(why).toContain('/nowhere/chronyc');
  });
});
