/** The trace of one append: client, home replica and follower, as a collector gets it. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectJournal } from '../../libs/client/client.ts';
import { appendTracer } from '../../libs/telemetry/append-tracer.ts';
import { SpanExporter, randomId } from '../../libs/telemetry/spans.ts';
import { Cluster, TARGET, until } from './cluster.ts';

interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly CollectedSpan[] }[];
  }[];
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}

/** `region name` of every span. */
const spans: (CollectedSpan & { readonly who: string })[] = [];
let collector: Server;
let endpoint: string;
let cluster: Cluster;

function collect(text: string): void {
  for (const { resource, scopeSpans } of (JSON.parse(text) as Export).resourceSpans) {
    const region = resource.attributes.find(({ key }) => key === 'cloud.region');
    for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
      spans.push({ ...span, who: `${region?.value.stringValue ?? 'client'} ${span.name}` });
    }
  }
}

beforeEach(async () => {
  spans.length = 0;
  collector = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += String(part)));
    request.on('end', () => {
      collect(text);
      response.end('{}');
    });
  });
  await new Promise<void>((resolve) => {
    collector.listen(0, '127.0.0.1', resolve);
  });
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`;
  cluster = new Cluster();
  cluster.overrides['tracesEndpoint'] = endpoint;
  await cluster.start();
});

afterEach(async () => {
  await cluster.stop();
  collector.closeAllConnections();
  collector.close();
});

describe('the trace of an append', () => {
  it('joins client, home and followers under the span of the caller', async () => {
    const exporter = new SpanExporter({ endpoint, resource: { 'service.name': 'client' } });
    const journal = connectJournal({
      ...TARGET,
      replicas: [{ region: 'r0', address: `127.0.0.1:${cluster.clientPorts[0]}` }],
      tracer: appendTracer({ sink: exporter, ratio: 0 }),
    });
    const [traceId, caller] = [randomId(16), randomId(8)];
    const body = Buffer.from('x');
    await journal.append('s', [{ body }]);
    await journal.append('s', [{ body }], { traceparent: `00-${traceId}-${caller}-01` });
    await exporter.close();
    await journal.close();
    const expected = [
      'client append',
      'r0 commit',
      'r0 order',
      'r0 queue',
      'r0 replica append',
      'r0 sync',
      'r1 follower sync',
      'r2 follower sync',
    ];
    await until(() => spans.length >= expected.length);
    expect(spans.map(({ who }) => who).sort()).toEqual(expected);
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
    const named = (who: string): CollectedSpan => {
      const span = spans.find((each) => each.who === who);
      if (span === undefined) throw new Error(`no ${who}`);
      return span;
    };
    const [client, home] = [named('client append'), named('r0 replica append')];
    expect(client.parentSpanId).toBe(caller);
    expect(home.parentSpanId).toBe(client.spanId);
    for (const { who, parentSpanId } of spans) {
      if (who === 'client append' || who === 'r0 replica append') continue;
      expect(parentSpanId, who).toBe(home.spanId);
    }
    const times = ({ startTimeUnixNano, endTimeUnixNano }: CollectedSpan): [bigint, bigint] => [
      BigInt(startTimeUnixNano),
      BigInt(endTimeUnixNano),
    ];
    const [homeStart, homeEnd] = times(home);
    for (const part of ['queue', 'sync', 'commit', 'order']) {
      const [start, end] = times(named(`r0 ${part}`));
      expect(start >= homeStart && start <= end && end <= homeEnd, part).toBe(true);
    }
  });
});
