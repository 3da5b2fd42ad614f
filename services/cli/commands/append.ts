/**
 * `meridian append`. Batches go out without waiting for each other's answers, up to a bound; their
 * results are printed in order. The first failure stops the input: what was printed was appended.
 */
import type { Journal, Writer } from '../../../libs/client/client.ts';
import type { AppendOptions, AppendResult, RecordInput } from '../../../libs/client/types.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { UsageError } from '../arguments.ts';
import { bytesFrom } from '../encoded.ts';
import type { Values } from '../arguments.ts';
import { encodingNamed } from '../../../libs/frames/text-encoding.ts';
import { batchesFrom } from '../input.ts';
import type { Format, InputBatch } from '../input.ts';
import type { Invocation } from '../invocation.ts';
import { withJournal } from '../session.ts';
import { counted, numbersText, timeOrNull, timeText } from '../units.ts';

const BATCH_RECORDS = 500;
const BATCH_BYTES = 256 * 1024;
/** Batches that may be under way. */
const INFLIGHT_MAX = 64;

interface Wish {
  readonly options: AppendOptions;
  /** Grows with what was sent; undefined: no condition. */
  matchSeqNum: number | undefined;
}

export function run(call: Invocation): Promise<number> {
  const { values } = call;
  const bodies = values.texts('body');
  const files = values.texts('file');
  if (bodies.length > 0 && files.length > 0) {
    throw new UsageError('give bodies or --file, not both', call.command);
  }
  if (values.flag('resume') && values.text('writer') === undefined) {
    throw new UsageError('--resume needs --writer', call.command);
  }
  const options = inputOptions(call);
  const fromArguments = bodies.map((text) => ({
    ...options.common,
    body: bytesFrom(text, options.encoding, 'body', call),
  }));
  return withJournal(call, (journal) => {
    const batches =
      bodies.length > 0
        ? oneBatch(fromArguments)
        : batchesFrom(files.length > 0 ? files : ['-'], options);
    return appendAll(call, journal, batches);
  });
}

async function appendAll(
  call: Invocation,
  journal: Journal,
  batches: AsyncIterable<InputBatch>,
): Promise<number> {
  const { values } = call;
  const stream = values.text('stream') ?? '';
  const wish = wishOf(values, call.environment);
  const isWhole = values.flag('resume');
  const writer = writerOf(journal, values);
  const resumeAfter = isWhole ? ((await writer?.start())?.lastSeq ?? 0) : 0;
  if (resumeAfter > 0) call.output.note(`resuming after line ${resumeAfter}`);
  const under: Promise<void>[] = [];
  const failures: Error[] = [];
  let appended = 0;
  let passedOver = 0;
  for await (const batch of batches) {
    const { records, lines } = isWhole ? remaining(batch, resumeAfter) : batch;
    passedOver += batch.records.length - records.length;
    if (records.length === 0) continue;
    if (failures.length > 0) break;
    const before = under.at(-1);
    const answer = send(journal, writer, stream, records, wish, isWhole ? lines : undefined);
    // A later failure is a consequence of the first; it is looked at in its turn.
    answer.catch(() => undefined);
    under.push(
      (async () => {
        await before;
        if (failures.length > 0) return;
        try {
          print(call, stream, records.length, await answer);
          appended += records.length;
        } catch (error) {
          failures.push(error instanceof Error ? error : new Error('unknown', { cause: error }));
        }
      })(),
    );
    if (under.length >= INFLIGHT_MAX) await under.shift();
  }
  await Promise.all(under);
  const [failure] = failures;
  if (failure !== undefined) {
    if (appended > 0) call.output.warn(`${counted(appended, 'record')} appended before this:`);
    throw failure;
  }
  if (passedOver > 0) call.output.note(`${counted(passedOver, 'record')} there already`);
  if (appended + passedOver === 0) call.output.note('nothing to append');
  return 0;
}

/** Without the lines up to `after`, which the journal has. */
function remaining(batch: InputBatch, after: number): InputBatch {
  const surplus = batch.lines - after;
  if (surplus <= 0) return { ...batch, records: [] };
  return { ...batch, records: batch.records.slice(-surplus) };
}

function send(
  journal: Journal,
  writer: Writer | null,
  stream: string,
  records: readonly RecordInput[],
  wish: Wish,
  seq: number | undefined,
): Promise<AppendResult> {
  const { matchSeqNum } = wish;
  if (matchSeqNum !== undefined) wish.matchSeqNum = matchSeqNum + records.length;
  const { ack, ...others } = wish.options;
  const options = { ...others, ...(matchSeqNum === undefined ? {} : { matchSeqNum }) };
  if (writer !== null) {
    return writer.append(stream, records, { ...options, ...(seq === undefined ? {} : { seq }) });
  }
  return journal.append(stream, records, { ...options, ...(ack === undefined ? {} : { ack }) });
}

function print(call: Invocation, stream: string, count: number, result: AppendResult): void {
  const { timestamp, firstSeqNum, duplicate, region, forwardedVia } = result;
  call.output.line(
    {
      stream,
      firstSeqNum,
      recordCount: count,
      timestamp,
      time: timeOrNull(timestamp),
      duplicate,
      region,
      forwardedVia,
    },
    () => {
      if (call.values.flag('quiet')) return null;
      const numbers =
        firstSeqNum === null ? counted(count, 'record') : numbersText(firstSeqNum, count);
      const path = forwardedVia === null ? region : `${region}, forwarded via ${forwardedVia}`;
      return `${stream} ${numbers}  ${timeText(timestamp)}  ${path}${duplicate ? '  (had taken effect before)' : ''}`;
    },
  );
}

function wishOf(values: Values, environment: Invocation['environment']): Wish {
  const ack = values.text('ack') === 'quorum' ? 'QUORUM' : 'ORDERED';
  const inherited = environment['MERIDIAN_FENCING_TOKEN'];
  const fencingToken =
    values.number('fencing-token') ?? (inherited === undefined ? undefined : Number(inherited));
  if (fencingToken !== undefined && !Number.isSafeInteger(fencingToken)) {
    throw new UsageError(`MERIDIAN_FENCING_TOKEN ${inherited ?? ''}: expected a whole number`);
  }
  const minTimestamp = values.number('min-timestamp');
  return {
    options: {
      ack,
      ...(fencingToken === undefined ? {} : { fencingToken }),
      ...(minTimestamp === undefined ? {} : { minTimestamp }),
      ...(values.flag('must-exist') ? { mustExist: true } : {}),
    },
    matchSeqNum: values.number('match-seq-num'),
  };
}

function writerOf(journal: Journal, values: Values): Writer | null {
  const id = values.text('writer');
  if (id === undefined) return null;
  const epoch = values.number('writer-epoch');
  const ack = values.text('ack') === 'quorum' ? ('QUORUM' as const) : ('ORDERED' as const);
  return journal.writer({ id, ack, ...(epoch === undefined ? {} : { epoch }) });
}

function inputOptions(call: Invocation) {
  const { values } = call;
  const encoding = encodingNamed(values.text('encoding'));
  const key = values.text('key');
  const headers = values.texts('header').map((text): [string, Uint8Array] => {
    const at = text.indexOf('=');
    if (at < 1) throw new UsageError(`--header ${text}: expected name=value`, call.command);
    return [text.slice(0, at), bytesFrom(text.slice(at + 1), encoding, '--header', call)];
  });
  const atomic = values.flag('atomic');
  return {
    format: (values.text('format') ?? 'lines') as Format,
    encoding,
    common: {
      ...(key === undefined ? {} : { key: bytesFrom(key, encoding, '--key', call) }),
      ...(headers.length === 0 ? {} : { headers }),
    },
    batchRecords: atomic ? Infinity : (values.number('batch-records') ?? BATCH_RECORDS),
    batchBytes: atomic ? Infinity : (values.number('batch-bytes') ?? BATCH_BYTES),
  };
}

// eslint-disable-next-line @typescript-eslint/require-await -- the same face as an input that waits
async function* oneBatch(records: readonly RecordInput[]): AsyncGenerator<InputBatch> {
  if (records.length === 0) throw new MeridianError('INVALID', 'nothing to append');
  yield { records, lines: records.length };
}
