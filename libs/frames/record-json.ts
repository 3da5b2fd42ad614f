/**
 * Records as JSON: what `meridian read -o json` prints and `append --format json` takes, and the same over
 * HTTP. One shape for both ways, so that a stream can be copied with a pipe. Unknown fields of the input
 * are passed over, because the output has more than an append needs.
 */
import type { RecordInput, RecordView } from './record.ts';
import { decodeText, encodeText, encodingFor } from './text-encoding.ts';
import type { Encoding } from './text-encoding.ts';

export interface RecordPlace {
  readonly stream: string;
  readonly seqNum: number;
  readonly timestamp: number;
  readonly recordOffset: number;
}

/** A line of output. `time`: the timestamp for people. */
export function recordJson(
  { stream, seqNum, timestamp, recordOffset }: RecordPlace,
  time: string | null,
  record: RecordView,
  wanted: Encoding,
): object {
  const content = contentJson(record, wanted);
  return { type: 'record', stream, seqNum, timestamp, time, recordOffset, ...content };
}

export function contentJson(record: RecordView, wanted: Encoding): object {
  const { key, headers, body } = record;
  const parts = [body, ...(key === null ? [] : [key]), ...headers.map(([, value]) => value)];
  const encoding = encodingFor(wanted, parts);
  return {
    encoding,
    key: key === null ? null : encodeText(key, encoding),
    headers: headers.map(([name, value]) => [name, encodeText(value, encoding)]),
    body: encodeText(body, encoding),
  };
}

/** A line of JSON as a record; text: what is wrong with it. */
export function recordFromJson(line: string, fallback: Encoding): RecordInput | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (error) {
    return `not JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  return recordFromValue(parsed, fallback);
}

/** The same for a value that is parsed already. */
export function recordFromValue(value: unknown, fallback: Encoding): RecordInput | string {
  if (!isObject(value)) return 'expected an object with a body';
  const { body, key, headers, encoding: named = fallback } = value;
  if (named !== 'utf8' && named !== 'base64' && named !== 'hex') {
    return `encoding ${JSON.stringify(named)}: expected utf8, base64 or hex`;
  }
  if (typeof body !== 'string') return 'expected body, a text';
  const bodyBytes = decodeText(body, named);
  if (bodyBytes === null) return `body is not ${named}`;
  if (key !== undefined && key !== null && typeof key !== 'string') return 'expected key as text';
  const keyBytes = typeof key === 'string' ? decodeText(key, named) : undefined;
  if (keyBytes === null) return `key is not ${named}`;
  const headerList = headersFrom(headers, named);
  if (typeof headerList === 'string') return headerList;
  return {
    body: bodyBytes,
    ...(keyBytes === undefined ? {} : { key: keyBytes }),
    ...(headerList.length === 0 ? {} : { headers: headerList }),
  };
}

/** A list of pairs, or an object where no name comes twice. */
function headersFrom(value: unknown, encoding: Encoding): [string, Uint8Array][] | string {
  if (value === undefined || value === null) return [];
  const pairs: unknown[] | null = Array.isArray(value)
    ? value
    : isObject(value)
      ? Object.entries(value)
      : null;
  if (pairs === null) return 'expected headers as a list of [name, value]';
  const headers: [string, Uint8Array][] = [];
  for (const pair of pairs) {
    const [name, text] = Array.isArray(pair) ? (pair as unknown[]) : [];
    if (typeof name !== 'string' || typeof text !== 'string') {
      return 'expected headers as a list of [name, value], both text';
    }
    const bytes = decodeText(text, encoding);
    if (bytes === null) return `header ${name} is not ${encoding}`;
    headers.push([name, bytes]);
  }
  return headers;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
