/**
 * `meridian read` and `meridian tail`: records, gaps and progress as they come. A record is counted and
 * cut here, because a replica delivers whole batches.
 */
import { keyPrefix } from '../../../libs/client/client.ts';
import type { Journal } from '../../../libs/client/client.ts';
import type {
  KeyRange,
  ReadFrom,
  ReadGap,
  ReadItem,
  ReadOptions,
  RecordView,
} from '../../../libs/client/types.ts';
import { UsageError } from '../arguments.ts';
import { encodeText, encodingFor, encodingNamed } from '../../../libs/frames/text-encoding.ts';
import type { Encoding } from '../../../libs/frames/text-encoding.ts';
import { bytesFrom } from '../encoded.ts';
import { aborted } from '../interrupt.ts';
import type { Invocation } from '../invocation.ts';
import { recordJson } from '../../../libs/frames/record-json.ts';
import type { RecordPlace } from '../../../libs/frames/record-json.ts';
import { withJournal } from '../session.ts';
import { numbersText, timeOrNull, timeText } from '../units.ts';

const TAIL_RECORDS = 10;

interface Start {
  readonly from: ReadFrom;
  /** Batches come whole: records below these are passed over. */
  readonly fromSeqNum: number;
  readonly after: { readonly timestamp: number; readonly recordOffset: number } | null;
}

export function run(call: Invocation): Promise<number> {
  const isTail = call.command.path[0] === 'tail';
  const stream = call.values.text('stream');
  const wanted = startOf(call, stream, isTail);
  const follow = isTail || call.values.flag('follow');
  return withJournal(call, async (journal) => {
    const start = await exactStart(journal, stream, wanted);
    const until = call.values.number('until');
    const untilSeqNum = call.values.number('until-seq');
    const keys = keysOf(call);
    const options: ReadOptions = {
      from: start.from,
      follow,
      ...(stream === undefined ? {} : { stream }),
      ...(until === undefined ? {} : { until }),
      ...(untilSeqNum === undefined ? {} : { untilSeqNum }),
      ...(keys.length === 0 ? {} : { keys }),
    };
    return print(call, journal, options, start);
  });
}

async function print(
  call: Invocation,
  journal: Journal,
  options: ReadOptions,
  start: Start,
): Promise<number> {
  const { output, values } = call;
  const signal = call.interrupted();
  const printer = new Printer(call);
  const items = journal.read(options);
  const stop = aborted(signal).then(() => items.return?.());
  stop.catch(() => undefined);
  let left = values.number('limit') ?? Infinity;
  const end = values.number('until-seq') ?? Infinity;
  for await (const item of items) {
    if (signal.aborted) break;
    if (item.type !== 'batches') {
      printer.other(item);
      continue;
    }
    for (const batch of item.batches) {
      const { stream, timestamp } = batch;
      for (const [number, record] of batch.records.entries()) {
        const at = batch.indexes?.[number] ?? number;
        const place = {
          stream,
          seqNum: batch.firstSeqNum + at,
          timestamp,
          recordOffset: batch.recordOffset + at,
        };
        if (isBefore(place, start)) continue;
        // Batches come whole: the last one may hold more.
        if (place.seqNum >= end) return 0;
        printer.record(place, record);
        left -= 1;
        if (left <= 0) return 0;
      }
    }
    await output.ready();
  }
  return 0;
}

class Printer {
  readonly #call: Invocation;
  readonly #encoding: Encoding;
  readonly #verbose: boolean;
  readonly #raw: boolean;
  #stalled = false;

  constructor(call: Invocation) {
    const { values } = call;
    this.#call = call;
    this.#encoding = encodingNamed(values.text('encoding'));
    this.#verbose = values.flag('verbose');
    this.#raw = values.flag('raw');
    if (this.#raw && (this.#verbose || call.output.json)) {
      throw new UsageError('--raw is bodies alone: not with --verbose or JSON', call.command);
    }
  }

  record(place: RecordPlace, record: RecordView): void {
    const { output } = this.#call;
    if (output.json) {
      const time = timeOrNull(place.timestamp);
      output.line(recordJson(place, time, record, this.#encoding), () => null);
      return;
    }
    if (this.#verbose) output.raw(placeText(place, record, this.#encoding));
    // Text that is UTF-8 or not: the bytes as they are.
    output.raw(this.#encoding === 'utf8' ? record.body : encodeText(record.body, this.#encoding));
    if (!this.#raw) output.raw('\n');
  }

  other(item: Exclude<ReadItem, { type: 'batches' }>): void {
    const { output, values } = this.#call;
    if (item.type === 'gap') {
      if (output.json) output.line({ type: 'gap', gap: gapJson(item) }, () => null);
      // What --key leaves out is what was asked for.
      else if (item.kind !== 'filtered') output.warn(gapText(item));
      return;
    }
    const { watermark, tailSeqNum, stalled } = item;
    if (output.json && values.flag('progress')) {
      output.line({ type: 'progress', watermark, tailSeqNum, stalled }, () => null);
    }
    if (stalled && !this.#stalled) {
      output.warn(
        `the journal stands still at ${timeText(watermark)}; looking for another replica`,
      );
    }
    if (!stalled && this.#stalled) output.warn('the journal moves again');
    this.#stalled = stalled;
  }
}

function placeText(place: RecordPlace, record: RecordView, encoding: Encoding): string {
  const { key, headers } = record;
  const show = (bytes: Uint8Array): string => encodeText(bytes, encodingFor(encoding, [bytes]));
  const parts = [`${place.stream}#${place.seqNum}`, timeText(place.timestamp)];
  if (key !== null) parts.push(`key=${show(key)}`);
  for (const [name, value] of headers) parts.push(`${name}=${show(value)}`);
  return `${parts.join('  ')}  `;
}

function gapJson({ kind, from, to, seqNums }: ReadGap): object {
  return { kind, from, to, seqNums: seqNums ?? null };
}

function gapText({ kind, from, to, seqNums }: ReadGap): string {
  const what = { trimmed: 'trimmed away', filtered: 'held back by the filter', lost: 'lost' }[kind];
  const which =
    seqNums === undefined
      ? `from ${timeText(from.timestamp)} to ${timeText(to.timestamp)}`
      : numbersText(seqNums.from, seqNums.to - seqNums.from);
  return `gap: records ${which} were ${what}`;
}

function isBefore(place: RecordPlace, { fromSeqNum, after }: Start): boolean {
  if (place.seqNum < fromSeqNum) return true;
  return after?.timestamp === place.timestamp && place.recordOffset <= after.recordOffset;
}

function keysOf(call: Invocation): KeyRange[] {
  const encoding = encodingNamed(call.values.text('encoding'));
  const bytes = (name: string): Uint8Array[] =>
    call.values.texts(name).map((text) => bytesFrom(text, encoding, `--${name}`, call));
  // Right behind a key comes the same one with a zero byte.
  const exactly = bytes('key').map((key) => ({
    from: key,
    to: Buffer.concat([key, Buffer.of(0)]),
  }));
  return [...exactly, ...bytes('key-prefix').map(keyPrefix)];
}

/** The options that say where to start; at most one may be given. */
function startOf(call: Invocation, stream: string | undefined, isTail: boolean): ReadFrom {
  const { values, command } = call;
  const needsStream = (name: string): void => {
    if (stream === undefined) throw new UsageError(`--${name} needs a stream`, command);
  };
  const last = values.number('last');
  if (values.has('until-seq')) needsStream('until-seq');
  if (isTail) {
    if (last !== undefined) needsStream('last');
    if (stream === undefined || last === 0) return 'end';
    return { tailOffset: last ?? TAIL_RECORDS };
  }
  const names = ['from-seq', 'from-time', 'from-position', 'last', 'from-end'];
  const given = names.filter((name) => values.has(name));
  if (given.length > 1) {
    throw new UsageError(
      `where to start? --${given.join(' and --')} say different things`,
      command,
    );
  }
  const seqNum = values.number('from-seq');
  const timestamp = values.number('from-time');
  const position = values.text('from-position');
  if (seqNum !== undefined) {
    needsStream('from-seq');
    return { seqNum };
  }
  if (timestamp !== undefined) return { timestamp };
  if (position !== undefined) {
    const match = /^(\d+)\/(\d+)$/.exec(position);
    if (match === null) {
      throw new UsageError(`--from-position ${position}: expected timestamp/offset`, command);
    }
    return { after: { timestamp: Number(match[1]), recordOffset: Number(match[2]) } };
  }
  if (last !== undefined) {
    needsStream('last');
    return last === 0 ? 'end' : { tailOffset: last };
  }
  return values.flag('from-end') ? 'end' : 'start';
}

/** The last n records exactly, also where a batch holds more of them. */
async function exactStart(
  journal: Journal,
  stream: string | undefined,
  from: ReadFrom,
): Promise<Start> {
  if (typeof from !== 'object') return { from, fromSeqNum: 0, after: null };
  if ('tailOffset' in from && stream !== undefined) {
    const { nextSeqNum } = await journal.checkTail(stream);
    const seqNum = Math.max(0, nextSeqNum - from.tailOffset);
    return { from: { seqNum }, fromSeqNum: seqNum, after: null };
  }
  const fromSeqNum = 'seqNum' in from ? from.seqNum : 0;
  return { from, fromSeqNum, after: 'after' in from ? from.after : null };
}
