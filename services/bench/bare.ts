/**
 * The yardstick: how fast this machine is at what no replicated log can avoid (bare-node.ts), with
 * the same closed loop and record size. Machines differ by factors, and one machine from hour to hour;
 * the ratio to this, measured in the same run, says what the journal itself costs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { LatencyRecorder } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import { at } from '../../libs/values/assert.ts';
import { onCounts } from './bare-counts.ts';
import { dial } from './bare-pipe.ts';
import type { Pipe, Transport } from './bare-pipe.ts';

export interface BareRow {
  readonly inflight: number;
  readonly recordsPerSecond: number;
  readonly latency: Figures;
}

export interface Yardstick {
  measure(inflight: number, seconds: number): Promise<BareRow>;
  stop(): Promise<void>;
}

const PROGRAM = fileURLToPath(new URL('bare-node.js', import.meta.url));

export async function startYardstick(bytes: number, transport: Transport): Promise<Yardstick> {
  const root = mkdtempSync(join(tmpdir(), 'meridian-bench-bare-'));
  const ports = await reservePorts(3);
  const children: Child[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(children.map((child) => child.stop()));
    releasePorts(ports);
    rmSync(root, { recursive: true, force: true });
  };
  const start = async (number: number, peers: readonly number[]): Promise<void> => {
    const port = at(ports, number);
    const role = peers.length === 0 ? 'follower' : 'home';
    const args = [
      PROGRAM,
      transport,
      role,
      String(port),
      join(root, String(number)),
      ...peers.map(String),
    ];
    const child = await spawnChild({
      name: `bare-${transport}-${number}`,
      command: process.execPath,
      args,
    });
    children.push(child);
    await child.ready({ port });
  };
  try {
    await start(1, []);
    await start(2, []);
    await start(0, [at(ports, 1), at(ports, 2)]);
  } catch (error) {
    await stop();
    throw error;
  }
  const pipe = dial(transport, at(ports, 0));
  const record = Buffer.alloc(bytes, 120);
  const answered = { records: 0 };
  let onAnswers = (): void => undefined;
  onCounts(pipe, (count) => {
    answered.records = count / bytes;
    onAnswers();
  });
  return {
    measure: (inflight, seconds) =>
      closedLoop({ pipe, record, answered, inflight, seconds }, (listener) => {
        onAnswers = listener;
      }),
    stop: async () => {
      pipe.close();
      await stop();
    },
  };
}

interface Loop {
  readonly pipe: Pipe;
  readonly record: Buffer;
  /** Whole and part records confirmed since the connection was made. */
  readonly answered: { records: number };
  readonly inflight: number;
  readonly seconds: number;
}

/** Each answered record is replaced at once; what is replaced together is written together. */
function closedLoop(loop: Loop, listen: (onAnswers: () => void) => void): Promise<BareRow> {
  const { pipe, record, answered, inflight, seconds } = loop;
  const recorder = new LatencyRecorder();
  const started = performance.now();
  const end = started + seconds * 1000;
  const before = Math.floor(answered.records);
  const sentAt: number[] = [];
  let done = 0;
  const send = (count: number): void => {
    const now = performance.now();
    for (let i = 0; i < count; i += 1) sentAt.push(now);
    pipe.write(count === 1 ? record : Buffer.concat(Array<Buffer>(count).fill(record)));
  };
  return new Promise((resolve) => {
    listen(() => {
      const now = performance.now();
      const total = Math.floor(answered.records) - before;
      const count = total - done;
      for (; done < total; done += 1) recorder.record((now - at(sentAt, done)) * 1000);
      if (now < end) {
        if (count > 0) send(count);
      } else if (done === sentAt.length) {
        const elapsed = (now - started) / 1000;
        resolve({
          inflight,
          recordsPerSecond: Math.round(done / elapsed),
          latency: recorder.figures({ inflight, seconds: elapsed }),
        });
      }
    });
    send(inflight);
  });
}
