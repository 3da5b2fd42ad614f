/**
 * Load on one writer: a closed loop that keeps a number of appends under way, or an open loop that
 * sends at a fixed rate whether answers come or not.
 */
import type { Appender } from '../../libs/client/appender.ts';
import { LatencyRecorder, round } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';

export interface LoadResult {
  readonly inflight: number | null;
  /** Open loop: what was to be sent per second. */
  readonly rate: number | null;
  readonly recordsPerSecond: number;
  readonly latency: Figures;
  readonly failures: number;
}

export interface LoadOptions {
  readonly appender: Appender;
  readonly stream: string;
  readonly body: Uint8Array;
  readonly seconds: number;
}

const DEADLINE_MS = 30_000;
const OPEN_LOOP_SLICE_MS = 1;

/** Each of `inflight` slots sends its next append when the last one is answered. */
export function closedLoop(options: LoadOptions, inflight: number): Promise<LoadResult> {
  const { appender, stream, body, seconds } = options;
  const recorder = new LatencyRecorder();
  const records = [{ body }];
  const started = performance.now();
  const end = started + seconds * 1000;
  let answered = 0;
  let failures = 0;
  let running = inflight;
  return new Promise((resolve) => {
    const finish = (): void => {
      const elapsed = (performance.now() - started) / 1000;
      resolve({
        inflight,
        rate: null,
        recordsPerSecond: Math.round(answered / elapsed),
        latency: recorder.figures({ inflight, seconds: elapsed }),
        failures,
      });
    };
    const send = (): void => {
      const sentAt = performance.now();
      if (sentAt >= end) {
        running -= 1;
        if (running === 0) finish();
        return;
      }
      appender.append({ stream, records }, DEADLINE_MS, (error) => {
        if (error === null) {
          answered += 1;
          recorder.record((performance.now() - sentAt) * 1000);
        } else failures += 1;
        send();
      });
    };
    for (let slot = 0; slot < inflight; slot += 1) send();
  });
}

/** Latency counts from the moment an append was due, so a stall is charged to everything behind it. */
export function openLoop(options: LoadOptions, rate: number): Promise<LoadResult> {
  const { appender, stream, body, seconds } = options;
  const recorder = new LatencyRecorder();
  const records = [{ body }];
  const started = performance.now();
  const total = Math.floor(rate * seconds);
  let due = 0;
  let answered = 0;
  let failures = 0;
  return new Promise((resolve) => {
    const finish = (): void => {
      const elapsed = (performance.now() - started) / 1000;
      const recordsPerSecond = Math.round(answered / elapsed);
      const latency = recorder.figures(null);
      resolve({ inflight: null, rate: round(rate), recordsPerSecond, latency, failures });
    };
    const timer = setInterval(() => {
      const until = Math.min(total, Math.floor(((performance.now() - started) / 1000) * rate));
      for (; due < until; due += 1) {
        const dueAt = started + (due / rate) * 1000;
        appender.append({ stream, records }, DEADLINE_MS, (error) => {
          if (error === null) {
            answered += 1;
            recorder.record((performance.now() - dueAt) * 1000);
          } else failures += 1;
          if (answered + failures === total) finish();
        });
      }
      if (due === total) clearInterval(timer);
    }, OPEN_LOOP_SLICE_MS);
  });
}
