import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT_SOFTWARE, installCrashHandlers } from './crash.ts';
import { Latency } from './latency.ts';
import { createLogger, LOG_BUFFER_BYTES_MAX } from './logger.ts';
import type { LogSink } from './logger.ts';

class FakeSink extends EventEmitter implements LogSink {
  lines: Record<string, unknown>[] = [];
  writableLength = 0;
  blocked = false;

  write(text: string): boolean {
    if (this.blocked) this.writableLength += text.length;
    this.lines.push(JSON.parse(text) as Record<string, unknown>);
    return !this.blocked;
  }
}

describe('the logger', () => {
  it('writes one JSON object a line with time, level, message and bindings', () => {
    const sink = new FakeSink();
    const logger = createLogger({ service: 'journal', region: 'a', sink });
    logger.child({ lane: 1 }).warn({ epoch: 8 }, 'sealed');
    logger.debug('not at this level');
    expect(sink.lines).toHaveLength(1);
    const [line] = sink.lines;
    expect(line).toMatchObject({
      level: 'warn',
      service: 'journal',
      region: 'a',
      lane: 1,
      epoch: 8,
      msg: 'sealed',
    });
    expect(new Date(String(line?.['time'])).getTime()).toBeGreaterThan(0);
  });

  it('keeps at most its bound while nobody reads, counts the rest, and says so afterwards', () => {
    const sink = new FakeSink();
    const logger = createLogger({ service: 'journal', sink });
    sink.blocked = true;
    const lines = 50_000;
    for (let n = 0; n < lines; n += 1) logger.info({ n }, 'x'.repeat(100));
    expect(sink.writableLength).toBeLessThanOrEqual(LOG_BUFFER_BYTES_MAX);
    const kept = sink.lines.length;
    expect(kept).toBeLessThan(lines);
    sink.blocked = false;
    sink.writableLength = 0;
    sink.emit('drain');
    expect(sink.lines.at(-1)).toMatchObject({ level: 'warn', dropped: lines - kept });
  });

  it('goes quiet, and does not crash, when the reader is gone', () => {
    const sink = new FakeSink();
    const logger = createLogger({ service: 'journal', sink });
    sink.emit('error', new Error('EPIPE'));
    logger.info('nobody hears this');
    expect(sink.lines).toHaveLength(0);
  });
});

describe('Latency', () => {
  it('summarises what was recorded, to one per cent', () => {
    const latency = new Latency(() => 0);
    for (let micros = 1; micros <= 1000; micros += 1) latency.record(micros);
    latency.record(5_000_000, 2);
    const snapshot = latency.snapshot();
    expect(snapshot.count).toBe(1002);
    expect(Math.abs(snapshot.p50 - 500)).toBeLessThanOrEqual(6);
    expect(Math.abs(snapshot.p99 - 992)).toBeLessThanOrEqual(12);
    expect(Math.abs(snapshot.max - 5_000_000)).toBeLessThanOrEqual(50_000);
  });

  it('forgets after ten seconds, also when nothing is recorded meanwhile', () => {
    let now = 0;
    const latency = new Latency(() => now);
    latency.record(7);
    now = 7_900;
    latency.record(9);
    expect(latency.snapshot().count).toBe(2);
    now = 11_000;
    expect(latency.snapshot()).toMatchObject({ count: 1, max: 9 });
    now = 1_000_000;
    expect(latency.snapshot()).toEqual({ count: 0, p50: 0, p99: 0, max: 0 });
  });

  it('takes values outside its range as the nearest it knows', () => {
    const latency = new Latency(() => 0);
    latency.record(-5);
    latency.record(0.2);
    latency.record(Number.MAX_SAFE_INTEGER);
    expect(latency.snapshot().count).toBe(3);
  });
});

describe('crash handlers', () => {
  it('log once and exit with 70, whatever follows', () => {
    const before = {
      uncaughtException: process.listeners('uncaughtException'),
      unhandledRejection: process.listeners('unhandledRejection'),
    };
    const logged: unknown[] = [];
    const exits: number[] = [];
    installCrashHandlers({ fatal: (...line: unknown[]) => logged.push(line) }, (code) =>
      exits.push(code),
    );
    const [onException] = added(process.listeners('uncaughtException'), before.uncaughtException);
    const [onRejection] = added(process.listeners('unhandledRejection'), before.unhandledRejection);
    try {
      onRejection?.('a reason', Promise.resolve());
      onException?.(new Error('and another'), 'uncaughtException');
    } finally {
      if (onException) process.off('uncaughtException', onException);
      if (onRejection) process.off('unhandledRejection', onRejection);
    }
    expect(logged).toHaveLength(1);
    expect(exits).toEqual([EXIT_SOFTWARE]);
  });
});

function added<T>(now: readonly T[], before: readonly T[]): T[] {
  return now.filter((listener) => !before.includes(listener));
}

describe('a service whose standard output is not drained', () => {
  it('keeps its memory and its event loop', async () => {
    const script = `
      const { createLogger } = await import(${JSON.stringify(path.resolve('dist/libs/telemetry/logger.js'))});
      const logger = createLogger({ service: 's' });
      for (let round = 0; round < 200; round += 1) {
        for (let n = 0; n < 1000; n += 1) logger.info('x'.repeat(200));
        await new Promise(setImmediate);
      }
      process.stderr.write(String(process.memoryUsage().rss) + '\\n');
      process.exit(0);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    try {
      const text = await new Promise<string>((resolve, reject) => {
        let output = '';
        child.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()));
        child.stderr.on('end', () => {
          resolve(output);
        });
        child.on('error', reject);
      });
      // 200,000 lines are 60 MB; a process that keeps them needs well above 150.
      expect(Number(text)).toBeGreaterThan(10e6);
      expect(Number(text)).toBeLessThan(120e6);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
