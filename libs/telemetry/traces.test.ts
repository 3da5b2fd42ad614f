import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { appendTracer } from './append-tracer.ts';
import { SpanExporter, derivedSpanId, randomId } from './spans.ts';
import type { Span } from './spans.ts';

const SPAN: Span = {
  traceId: randomId(16),
  spanId: randomId(8),
  parentSpanId: '',
  name: 'one',
  kind: 'internal',
  startMicros: 1_700_000_000_000_001,
  endMicros: 1_700_000_000_000_501,
  attributes: { text: 'a', whole: 3, share: 0.5, flag: true },
};

describe('the exporter', () => {
  let collector: Server;
  let endpoint: string;
  let status = 200;
  const bodies: string[] = [];

  beforeEach(async () => {
    bodies.length = 0;
    status = 200;
    collector = createServer((request, response) => {
      let text = '';
      request.on('data', (part) => (text += String(part)));
      request.on('end', () => {
        bodies.push(text);
        response.writeHead(status).end('{}');
      });
    });
    await new Promise<void>((resolve) => {
      collector.listen(0, '127.0.0.1', resolve);
    });
    endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`;
  });

  afterEach(() => {
    collector.closeAllConnections();
    collector.close();
  });

  it('sends spans as OTLP over HTTP', async () => {
    const exporter = new SpanExporter({ endpoint, resource: { 'service.name': 'test' } });
    exporter.add(SPAN);
    exporter.add({ ...SPAN, parentSpanId: SPAN.spanId, kind: 'server', error: 'NO_QUORUM' });
    await exporter.close();
    const { resourceSpans } = JSON.parse(bodies.join('')) as { resourceSpans: unknown[] };
    expect(resourceSpans).toMatchObject([
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'test' } }] },
        scopeSpans: [
          {
            spans: [
              {
                traceId: SPAN.traceId,
                spanId: SPAN.spanId,
                kind: 1,
                startTimeUnixNano: '1700000000000001000',
                endTimeUnixNano: '1700000000000501000',
                attributes: [
                  { key: 'text', value: { stringValue: 'a' } },
                  { key: 'whole', value: { intValue: '3' } },
                  { key: 'share', value: { doubleValue: 0.5 } },
                  { key: 'flag', value: { boolValue: true } },
                ],
              },
              { parentSpanId: SPAN.spanId, kind: 2, status: { code: 2, message: 'NO_QUORUM' } },
            ],
          },
        ],
      },
    ]);
    expect(exporter.figures).toEqual({ exported: 2, dropped: 0, failed: 0 });
  });

  it('drops and counts what is too much, and what the collector does not take', async () => {
    const exporter = new SpanExporter({ endpoint, resource: {}, queueMax: 3 });
    for (let i = 0; i < 5; i += 1) exporter.add(SPAN);
    status = 503;
    await exporter.flush();
    expect(exporter.figures).toEqual({ exported: 0, dropped: 2, failed: 3 });
    collector.closeAllConnections();
    await new Promise((resolve) => collector.close(resolve));
    exporter.add(SPAN);
    await exporter.close();
    expect(exporter.figures.failed).toBe(4);
  });
});

describe('the tracer of appends', () => {
  const spans: Span[] = [];
  const sink = {
    add: (span: Span): void => {
      spans.push(span);
    },
  };
  const parent = (flags: string): string => `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${flags}`;

  beforeEach(() => {
    spans.length = 0;
  });

  it('traces the share that is asked for', () => {
    const draws = [0.1, 0.3, 0.2];
    const tracer = appendTracer({ sink, ratio: 0.25, random: () => draws.shift() ?? 1 });
    const traced = [1, 2, 3].map(() => tracer.begin('s', undefined) !== null);
    expect(traced).toEqual([true, false, true]);
  });

  it('follows the caller, whatever the share: its trace, its span as parent, its decision', () => {
    const never = appendTracer({ sink, ratio: 0, now: () => 7 });
    expect(never.begin('s', parent('00'))).toBeNull();
    const append = never.begin('s', parent('01'));
    expect(Buffer.from(append?.context ?? []).toString('hex')).toMatch(/^a{32}[0-9a-f]{16}$/);
    append?.end(null, { timestamp: 5, firstSeqNum: 6, duplicate: false, region: 'eu' });
    expect(spans).toMatchObject([
      { traceId: 'a'.repeat(32), parentSpanId: 'b'.repeat(16), kind: 'client', startMicros: 7 },
    ]);
  });

  it('takes what is no traceparent for none', () => {
    const tracer = appendTracer({ sink, ratio: 0 });
    expect(tracer.begin('s', 'nonsense')).toBeNull();
  });

  it('derives the same span id from the same append, another one from another', () => {
    expect(derivedSpanId('ab', 8)).toMatch(/^[0-9a-f]{16}$/);
    expect(derivedSpanId('ab', 8)).toBe(derivedSpanId('ab', 8));
    expect(derivedSpanId('ab', 8)).not.toBe(derivedSpanId('ab', 16));
  });
});
