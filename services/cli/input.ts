/**
 * Records from files and standard input, gathered into batches: full ones at once, a part when the input
 * pauses, so that what a person types or a program prints does not lie here. Memory is bounded by the
 * longest line; a line beyond what a record may have is refused, not collected.
 */
import { createReadStream } from 'node:fs';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { RecordInput } from '../../libs/client/types.ts';
import { decodeText } from '../../libs/frames/text-encoding.ts';
import type { Encoding } from '../../libs/frames/text-encoding.ts';
import { recordFromJson } from '../../libs/frames/record-json.ts';

export type Format = 'lines' | 'json' | 'whole';

export interface InputOptions {
  readonly format: Format;
  readonly encoding: Encoding;
  /** Key and headers of every record of lines. */
  readonly common: Pick<RecordInput, 'key' | 'headers'>;
  readonly batchRecords: number;
  readonly batchBytes: number;
}

export interface InputBatch {
  readonly records: readonly RecordInput[];
  /** Lines up to the last of these records, over all files. */
  readonly lines: number;
}

/** No record can be longer. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
const NEWLINE = 10;

/** `-` is standard input. Throws INVALID with file and line, REFUSED for a file that cannot be read. */
export async function* batchesFrom(
  files: readonly string[],
  options: InputOptions,
): AsyncGenerator<InputBatch, void, undefined> {
  let records: RecordInput[] = [];
  let bytes = 0;
  let lines = 0;
  for (const file of files) {
    let inFile = 0;
    for await (const chunk of linesOf(file, options.format === 'whole')) {
      for (const line of chunk) {
        lines += 1;
        inFile += 1;
        const record = recordOf(line, options, file, inFile);
        if (record === null) continue;
        const size = bytesOf(record);
        const isFull = bytes + size > options.batchBytes || records.length >= options.batchRecords;
        if (isFull && records.length > 0) {
          yield { records, lines: lines - 1 };
          records = [];
          bytes = 0;
        }
        records.push(record);
        bytes += size;
      }
      // The input pauses here: the next chunk may be long in coming.
      if (records.length > 0 && Number.isFinite(options.batchRecords)) {
        yield { records, lines };
        records = [];
        bytes = 0;
      }
    }
  }
  if (records.length > 0) yield { records, lines };
}

/** The lines of each chunk that the file yields; an unfinished last one waits for its end. */
async function* linesOf(
  file: string,
  whole: boolean,
): AsyncGenerator<Uint8Array[], void, undefined> {
  const stream = file === '-' ? process.stdin : createReadStream(file);
  let rest: Buffer[] = [];
  let restBytes = 0;
  try {
    for await (const data of stream) {
      let chunk = data as Buffer;
      const found: Uint8Array[] = [];
      for (;;) {
        const end = whole ? -1 : chunk.indexOf(NEWLINE);
        if (end < 0) break;
        found.push(trimmed(Buffer.concat([...rest, chunk.subarray(0, end)])));
        rest = [];
        restBytes = 0;
        chunk = chunk.subarray(end + 1);
      }
      if (chunk.length > 0) rest.push(chunk);
      restBytes += chunk.length;
      if (restBytes > LINE_BYTES_MAX) {
        throw new MeridianError(
          'TOO_LARGE',
          `${file}: a record of more than ${LINE_BYTES_MAX} bytes`,
          { details: { file, bytes: restBytes, limit: LINE_BYTES_MAX } },
        );
      }
      if (found.length > 0) yield found;
    }
  } catch (error) {
    if (error instanceof MeridianError) throw error;
    const text = error instanceof Error ? error.message : String(error);
    throw new MeridianError('REFUSED', `${file} cannot be read: ${text}`, { cause: error });
  }
  if (rest.length > 0) yield [whole ? Buffer.concat(rest) : trimmed(Buffer.concat(rest))];
}

/** null: an empty line of JSON lines, which says nothing. */
function recordOf(
  line: Uint8Array,
  { format, encoding, common }: InputOptions,
  file: string,
  number: number,
): RecordInput | null {
  const fail = (what: string): never => {
    throw new MeridianError('INVALID', `${file}, line ${number}: ${what}`, {
      details: { file, line: number },
    });
  };
  if (format !== 'json') {
    if (encoding === 'utf8') return { ...common, body: line };
    const body = decodeText(Buffer.from(line).toString('latin1').trim(), encoding);
    return { ...common, body: body ?? fail(`not ${encoding}`) };
  }
  const text = Buffer.from(line).toString('utf8');
  if (text.trim() === '') return null;
  if (isOtherLine(text)) return null;
  const record = recordFromJson(text, encoding);
  return typeof record === 'string' ? fail(record) : record;
}

/** Progress and gaps, which `read --output json` prints between records. */
function isOtherLine(text: string): boolean {
  return /^\{"type":"(?:progress|gap)"/.test(text);
}

function trimmed(line: Buffer): Buffer {
  return line.at(-1) === 13 ? line.subarray(0, -1) : line;
}

function bytesOf({ body, key, headers = [] }: RecordInput): number {
  return headers.reduce(
    (sum, [name, value]) => sum + name.length + value.length,
    body.length + (key?.length ?? 0),
  );
}
