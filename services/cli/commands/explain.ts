/**
 * `meridian explain`: where one record lives, and how far it has come at each replica. The first answer
 * that has the record gives its slot in a lane; every replica is then asked what it holds there.
 */
import { columns } from '../columns.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { JournalService } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { LocateResponse } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { UsageError } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { Replicas } from '../replicas.ts';
import { instanceView } from '../status-view.ts';
import type { InstanceView } from '../status-view.ts';
import { bytesText, counted, timeText } from '../units.ts';

type What =
  | {
      readonly case: 'record';
      readonly value: { readonly stream: string; readonly seqNum: bigint };
    }
  | { readonly case: 'timestamp'; readonly value: bigint }
  | { readonly case: 'slot'; readonly value: { readonly lane: number; readonly index: bigint } };

interface Holding {
  readonly region: string;
  readonly answers: boolean;
  readonly holds: boolean;
  readonly synced: boolean;
  readonly committed: boolean;
  readonly released: boolean;
}

export async function run(call: Invocation): Promise<number> {
  const what = questionOf(call);
  const replicas = new Replicas(await call.endpoint());
  try {
    const answers = await ask(replicas, what);
    const place = answers.find((answer) => !(answer instanceof MeridianError) && answer.found);
    if (place === undefined || place instanceof MeridianError) return notFound(call, answers);
    const { lane, index } = place;
    const held = await ask(replicas, { case: 'slot', value: { lane, index } });
    const view = instanceView(replicas.target, await replicas.status(), new Date());
    const holdings = replicas.list.map(({ region }, at) => holdingOf(region, place, held[at]));
    // Only the home remembers by which path its entries were committed.
    const home = held.find((answer) => !(answer instanceof MeridianError) && answer.pathKnown);
    const path = home === undefined || home instanceof MeridianError ? null : home.forwardedVia;
    report(call, { what, place, holdings, path }, view);
    return EXIT.ok;
  } finally {
    replicas.close();
  }
}

function questionOf({ values, command }: Invocation): What {
  const stream = values.text('stream');
  const seqNum = values.number('seq-num');
  const timestamp = values.number('timestamp');
  if (stream !== undefined && seqNum !== undefined && timestamp === undefined) {
    return { case: 'record', value: { stream, seqNum: BigInt(seqNum) } };
  }
  if (stream === undefined && timestamp !== undefined) {
    return { case: 'timestamp', value: BigInt(timestamp) };
  }
  throw new UsageError('which record? Give its stream and number, or --timestamp', command);
}

function ask(replicas: Replicas, what: What): Promise<(LocateResponse | MeridianError)[]> {
  return Promise.all(
    replicas.list.map((_, at) =>
      replicas.ask(at, JournalService.method.locate, { target: replicas.target, what }),
    ),
  );
}

/** It may be that nobody was there to ask: that is another answer than "no such record". */
function notFound(call: Invocation, answers: readonly (LocateResponse | MeridianError)[]): never {
  const errors = answers.filter((answer) => answer instanceof MeridianError);
  const decided = errors.find(({ reason }) => reason === 'STREAM_NOT_FOUND');
  const [first] = errors;
  if (decided !== undefined) throw decided;
  if (errors.length === answers.length && first !== undefined) throw first;
  const what = call.values.text('stream') ?? call.values.text('timestamp') ?? '';
  const missing = errors.length === 0 ? '' : `; ${errors.length} replicas did not answer`;
  throw new MeridianError('OUT_OF_RANGE', `no replica holds such a record: ${what}${missing}`);
}

function holdingOf(
  region: string,
  place: LocateResponse,
  held: LocateResponse | MeridianError | undefined,
): Holding {
  if (held === undefined || held instanceof MeridianError) {
    return {
      region,
      answers: false,
      holds: false,
      synced: false,
      committed: false,
      released: false,
    };
  }
  // Another timestamp in the slot is an old tail that was never committed.
  const holds = held.found && held.timestamp === place.timestamp;
  const { synced, committed, released } = held;
  return {
    region,
    answers: true,
    holds,
    synced: holds && synced,
    committed: holds && committed,
    released: holds && released,
  };
}

interface Explanation {
  readonly what: What;
  readonly place: LocateResponse;
  readonly holdings: readonly Holding[];
  /** Region that forwarded when it was committed, empty for none; null: not known. */
  readonly path: string | null;
}

function report(
  call: Invocation,
  { what, place, holdings, path }: Explanation,
  view: InstanceView,
): void {
  const timestamp = Number(place.timestamp);
  const known = view.replicas.flatMap(({ state }) => state?.lanes[place.lane] ?? []);
  const home = known[0]?.home ?? `replica ${place.lane}`;
  const regions = view.replicas.map(({ region }) => region);
  const writer = regionOf(view, Number(place.epoch % 8n)) ?? home;
  const copies = holdings.filter(({ synced }) => synced).map(({ region }) => region);
  const record =
    what.case === 'record'
      ? {
          stream: what.value.stream,
          seqNum: Number(what.value.seqNum),
          recordOffset: place.recordOffset,
          firstSeqNum: Number(place.firstSeqNum),
          writer:
            place.writerId === ''
              ? null
              : {
                  id: place.writerId,
                  epoch: place.writerEpoch,
                  seq: Number(place.writerSeq),
                },
        }
      : null;
  const value = {
    record,
    timestamp,
    time: timeText(timestamp),
    lane: place.lane,
    home,
    epoch: Number(place.epoch),
    writer,
    index: Number(place.index),
    entry: { bytes: place.bytes, batches: place.batches, records: place.records },
    copies: copies.length,
    path: path === null ? null : { forwardedVia: path === '' ? null : path },
    replicas: holdings,
  };
  call.output.document(value, () => {
    const yes = (is: boolean): string => (is ? 'yes' : 'no');
    const rows = holdings.map(({ region, answers, holds, synced, committed, released }) =>
      answers
        ? [region, yes(holds), yes(synced), yes(committed), yes(released)]
        : [region, '?', '?', '?', '?'],
    );
    const lines = [
      `entry     lane ${place.lane} of ${home}, epoch ${Number(place.epoch)} (written by ${writer}), index ${Number(place.index)}`,
      `time      ${timeText(timestamp)} (${timestamp})`,
      `holds     ${counted(place.batches, 'batch', 'batches')}, ${counted(place.records, 'record')}, ${bytesText(place.bytes)}`,
      `on disk   in ${copies.length} of ${regions.length} regions${copies.length === 0 ? '' : `: ${copies.join(', ')}`}`,
    ];
    if (path === null) lines.push('path      not known: its home has restarted since, or is away');
    else lines.push(`path      ${path === '' ? 'direct' : `forwarded via ${path}`}`);
    if (record !== null) {
      const batch = `record    ${record.stream}#${record.seqNum}, in a batch that begins at #${record.firstSeqNum}`;
      const by = record.writer;
      lines.unshift(
        by === null ? batch : `${batch}, of writer ${by.id} epoch ${by.epoch} seq ${by.seq}`,
      );
    }
    const head = ['', 'holds it', 'on disk', 'knows it committed', 'released'];
    return `${lines.join('\n')}\n\n${columns([head, ...rows], { indent: '  ' })}`;
  });
}

function regionOf(view: InstanceView, replica: number): string | null {
  return view.replicas.find(({ state }) => state?.replica === replica)?.region ?? null;
}
