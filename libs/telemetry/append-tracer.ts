/**
 * Traces of appends on the client's side: which are traced, and the span of each. The client library
 * takes it as its `tracer` and knows nothing of how spans leave the process; who has an SDK of their own
 * writes these few lines on top of it.
 */
import { randomId } from './spans.ts';
import type { SpanSink } from './spans.ts';

/** The client library's types, as far as they matter here. */
export interface TracedAppend {
  readonly context: Uint8Array;
  end(error: { readonly reason: string } | null, result: TracedResult | null): void;
}

export interface TracedResult {
  readonly timestamp: number;
  readonly firstSeqNum: number | null;
  readonly duplicate: boolean;
  readonly region: string;
}

export interface AppendTracerOptions {
  readonly sink: SpanSink;
  /** Share of appends without a sampled parent that are traced, 0 to 1. */
  readonly ratio: number;
  /** Microseconds since 1970. */
  readonly now?: () => number;
  readonly random?: () => number;
}

export interface AppendTracer {
  begin(stream: string, traceparent: string | undefined): TracedAppend | null;
}

/** version-traceid-spanid-flags, https://www.w3.org/TR/trace-context/#traceparent-header. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const SAMPLED = 1;

export function appendTracer(options: AppendTracerOptions): AppendTracer {
  const { sink, ratio, random = Math.random } = options;
  const now = options.now ?? ((): number => (performance.timeOrigin + performance.now()) * 1000);
  return {
    begin: (stream, traceparent) => {
      const parent = traceparent === undefined ? null : TRACEPARENT.exec(traceparent);
      if (parent === null ? random() >= ratio : !isSampled(parent)) return null;
      const traceId = parent?.[1] ?? randomId(16);
      const spanId = randomId(8);
      const startMicros = now();
      return {
        context: Buffer.from(traceId + spanId, 'hex'),
        end: (error, result) => {
          sink.add({
            traceId,
            spanId,
            parentSpanId: parent?.[2] ?? '',
            name: 'append',
            kind: 'client',
            startMicros,
            endMicros: now(),
            attributes: { 'meridian.stream': stream, ...resultAttributes(result) },
            error: error?.reason,
          });
        },
      };
    },
  };
}

function isSampled(parent: RegExpExecArray): boolean {
  return (Number.parseInt(parent[3] ?? '0', 16) & SAMPLED) !== 0;
}

function resultAttributes(result: TracedResult | null): Record<string, string | number | boolean> {
  if (result === null) return {};
  const { timestamp, firstSeqNum, duplicate, region } = result;
  return {
    'meridian.timestamp': timestamp,
    'meridian.region': region,
    'meridian.duplicate': duplicate,
    ...(firstSeqNum === null ? {} : { 'meridian.first_seq_num': firstSeqNum }),
  };
}
