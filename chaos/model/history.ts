/**
 * A whole history in memory, and the lines of its file: one JSON object a line, `type` first
 * (FORMAT.md). Reading checks the form of every line, so that a damaged file is refused with its
 * line number and not judged.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { MeridianError } from '../../libs/errors/errors.ts';
import type {
  Delivery,
  Fault,
  FinalBatch,
  FinalRow,
  Header,
  Operation,
  Progress,
  Resumption,
} from './operation.ts';

export interface History {
  readonly header: Header;
  readonly operations: readonly Operation[];
  /** In the order in which they were seen. */
  readonly observations: readonly Observation[];
  readonly faults: readonly Fault[];
  /** In the order in which they were read: the order of the journals' places, per instance. */
  readonly final: readonly FinalBatch[];
  readonly rows: readonly FinalRow[];
  /** When the run ended: the highest time of any line. */
  readonly endUs: number;
}

/** What an observer sees. */
export type Observation =
  | ({ readonly type: 'delivery' } & Delivery)
  | ({ readonly type: 'progress' } & Progress)
  | ({ readonly type: 'resumption' } & Resumption);

export type Line =
  | ({ readonly type: 'header' } & Header)
  | ({ readonly type: 'operation' } & Operation)
  | Observation
  | ({ readonly type: 'fault' } & Fault)
  | ({ readonly type: 'final' } & FinalBatch)
  | ({ readonly type: 'row' } & FinalRow);

/** Builds a history line by line. */
export class HistoryBuilder {
  #header: Header | null = null;
  readonly #operations: Operation[] = [];
  readonly #observations: Observation[] = [];
  readonly #faults: Fault[] = [];
  readonly #final: FinalBatch[] = [];
  readonly #rows: FinalRow[] = [];
  #endUs = 0;

  add(line: Line): void {
    switch (line.type) {
      case 'header':
        this.#header = line;
        return;
      case 'operation':
        this.#operations.push(line);
        this.#until(line.completedUs ?? line.invokedUs);
        return;
      case 'delivery':
      case 'progress':
      case 'resumption':
        this.#observations.push(line);
        this.#until(line.atUs);
        return;
      case 'fault':
        this.#faults.push(line);
        this.#until(line.untilUs ?? line.fromUs);
        return;
      case 'final':
        this.#final.push(line);
        return;
      case 'row':
        this.#rows.push(line);
    }
  }

  /** INVALID without a header. Operations are in the order of invocation. */
  finish(): History {
    if (this.#header === null) throw new MeridianError('INVALID', 'the history has no header');
    return {
      header: this.#header,
      operations: this.#operations.sort((a, b) => a.id - b.id),
      observations: this.#observations,
      faults: this.#faults,
      final: this.#final,
      rows: this.#rows,
      endUs: this.#endUs,
    };
  }

  #until(us: number): void {
    if (us > this.#endUs) this.#endUs = us;
  }
}

/** Reads a history's file. Errors: INVALID with file and line. */
export async function readHistory(path: string): Promise<History> {
  const builder = new HistoryBuilder();
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  let number = 0;
  for await (const text of lines) {
    number += 1;
    if (text !== '') builder.add(parseLine(text, `${path}:${number}`));
  }
  return builder.finish();
}

/** What each type of line must have, and of which type. */
const FIELDS: Readonly<Record<Line['type'], Readonly<Record<string, string>>>> = {
  header: { format: 'string', version: 'number', seed: 'number', regions: 'object' },
  operation: {
    id: 'number',
    workload: 'string',
    client: 'string',
    region: 'string',
    action: 'object',
    invokedUs: 'number',
    outcome: 'object',
  },
  delivery: { observer: 'string', atUs: 'number', place: 'object', values: 'object' },
  progress: { observer: 'string', atUs: 'number', watermark: 'number' },
  resumption: { observer: 'string', atUs: 'number', scope: 'object' },
  fault: { name: 'string', target: 'string', fromUs: 'number' },
  final: { place: 'object', stream: 'string', firstSeqNum: 'number', values: 'object' },
  row: { database: 'string', table: 'string', key: 'string', columns: 'object' },
};

/** Errors: INVALID, which names `place`. */
export function parseLine(text: string, place: string): Line {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch (error) {
    throw new MeridianError('INVALID', `${place}: not JSON`, { cause: error });
  }
  if (!isRecord(line) || typeof line['type'] !== 'string' || !isLineType(line['type'])) {
    throw new MeridianError('INVALID', `${place}: no line of a history (FORMAT.md)`);
  }
  for (const [field, type] of Object.entries(FIELDS[line['type']])) {
    const value = line[field];
    if (typeof value !== type || value === null) {
      const message = `${place}: a line of type ${line['type']} needs ${field} (${type})`;
      throw new MeridianError('INVALID', message);
    }
  }
  if (line['type'] === 'header' && (line['format'] !== FORMAT || line['version'] !== VERSION)) {
    const message = `${place}: expected format ${FORMAT} version ${VERSION}`;
    throw new MeridianError('INVALID', message);
  }
  return line as unknown as Line;
}

const FORMAT: Header['format'] = 'meridian-history';
const VERSION: Header['version'] = 1;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isLineType(value: string): value is Line['type'] {
  return Object.hasOwn(FIELDS, value);
}
