/**
 * Spans of traces, and their way out: OTLP over HTTP as JSON (opentelemetry-proto, trace service v1),
 * which every collector takes. No SDK, because three kinds of spans need none; ids and parents follow
 * W3C Trace Context, so they join whatever a caller's own SDK tells.
 *
 * Bounded: beyond `queueMax` spans are dropped and counted. A collector that is away costs nothing else.
 */
import { createHash, randomBytes } from 'node:crypto';

/** Times in microseconds since 1970. */
export interface Span {
  /** 16 bytes as hex. */
  readonly traceId: string;
  /** 8 bytes as hex. */
  readonly spanId: string;
  /** Empty: the root of its trace. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'consumer';
  readonly startMicros: number;
  readonly endMicros: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** What went wrong, if anything. */
  readonly error?: string | undefined;
}

export interface SpanSink {
  add(span: Span): void;
}

export interface SpanExporterOptions {
  /** For example http://collector:4318/v1/traces. */
  readonly endpoint: string;
  /** Who speaks: service.name and more. */
  readonly resource: Readonly<Record<string, string>>;
  /** Spans that may wait. Default 2048. */
  readonly queueMax?: number;
}

export interface SpanFigures {
  exported: number;
  dropped: number;
  failed: number;
}

const QUEUE_MAX = 2048;
const BATCH_MAX = 512;
const FLUSH_MS = 1_000;
const TIMEOUT_MS = 5_000;
/** SpanKind of opentelemetry-proto. */
const KINDS = { internal: 1, server: 2, client: 3, consumer: 5 } as const;
const STATUS_ERROR = 2;

export class SpanExporter implements SpanSink {
  readonly #options: SpanExporterOptions;
  readonly #queue: Span[] = [];
  #timer: NodeJS.Timeout | null = null;
  #sending: Promise<void> | null = null;
  readonly figures: SpanFigures = { exported: 0, dropped: 0, failed: 0 };

  constructor(options: SpanExporterOptions) {
    this.#options = options;
  }

  add(span: Span): void {
    if (this.#queue.length >= (this.#options.queueMax ?? QUEUE_MAX)) {
      this.figures.dropped += 1;
      return;
    }
    this.#queue.push(span);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, FLUSH_MS).unref();
  }

  /** Sends what waits; failures are counted, and what could not be sent is gone. */
  async flush(): Promise<void> {
    while (this.#sending !== null) await this.#sending;
    if (this.#queue.length === 0) return;
    const spans = this.#queue.splice(0, BATCH_MAX);
    this.#sending = this.#send(spans).finally(() => {
      this.#sending = null;
    });
    await this.#sending;
    if (this.#queue.length > 0) await this.flush();
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.flush();
  }

  async #send(spans: readonly Span[]): Promise<void> {
    const { endpoint, resource } = this.#options;
    const scopeSpans = [{ scope: { name: 'meridian' }, spans: spans.map(otlp) }];
    const body = {
      resourceSpans: [{ resource: { attributes: attributes(resource) }, scopeSpans }],
    };
    try {
      const response = await fetch(endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      await response.arrayBuffer();
      if (response.ok) this.figures.exported += spans.length;
      else this.figures.failed += spans.length;
    } catch {
      this.figures.failed += spans.length;
    }
  }
}

export function randomId(bytes: 8 | 16): string {
  return randomBytes(bytes).toString('hex');
}

/**
 * The id of a span that others must be able to name without being told: of the replica that put the
 * append into the entry of this timestamp.
 */
export function derivedSpanId(parentSpanId: string, timestamp: number): string {
  const digest = createHash('sha256').update(`${parentSpanId} ${timestamp}`).digest('hex');
  return digest.slice(0, 16);
}

function otlp(span: Span): object {
  const { traceId, spanId, parentSpanId, name, kind, startMicros, endMicros, error } = span;
  return {
    traceId,
    spanId,
    ...(parentSpanId === '' ? {} : { parentSpanId }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanoseconds(startMicros),
    endTimeUnixNano: nanoseconds(Math.max(startMicros, endMicros)),
    attributes: attributes(span.attributes),
    ...(error === undefined ? {} : { status: { code: STATUS_ERROR, message: error } }),
  };
}

function nanoseconds(micros: number): string {
  return `${String(Math.round(micros))}000`;
}

function attributes(values: Span['attributes']): object[] {
  return Object.entries(values).map(([key, value]) => ({ key, value: typed(value) }));
}

function typed(value: string | number | boolean): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
