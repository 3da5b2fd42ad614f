/** `meridian streams list | create | describe | configure | delete`. */
import type { Journal } from '../../../libs/client/client.ts';
import type { StreamConfig, StreamDescription } from '../../../libs/client/client.ts';
import { UsageError } from '../arguments.ts';
import { columns } from '../columns.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { withJournal } from '../session.ts';
import { streamJson, streamText } from '../stream-view.ts';
import { timeText } from '../units.ts';

const PAGE = 1_000;

export function run(call: Invocation): Promise<number> {
  return withJournal(call, async (journal) => {
    switch (call.command.path[1]) {
      case 'create':
        await create(call, journal);
        break;
      case 'describe': {
        const stream = await journal.describeStream(nameOf(call));
        call.output.document(streamJson(stream), () => streamText(stream));
        break;
      }
      case 'configure':
        await configure(call, journal);
        break;
      case 'delete':
        return remove(call, journal);
      default:
        await list(call, journal);
    }
    return EXIT.ok;
  });
}

/** Page by page: a journal may have a hundred thousand. */
async function list(call: Invocation, journal: Journal): Promise<void> {
  const { values, output } = call;
  const prefix = values.text('prefix') ?? '';
  let left = values.number('limit') ?? Infinity;
  let after = values.text('after') ?? '';
  let heading = !values.flag('quiet');
  for (;;) {
    const limit = Math.min(left, PAGE);
    const { streams, more } = await journal.listStreams({ prefix, after, limit });
    if (output.json) {
      for (const stream of streams) output.line(streamJson(stream), () => null);
    } else if (values.flag('quiet')) {
      for (const { name } of streams) output.raw(`${name}\n`);
    } else if (streams.length > 0 || heading) {
      output.raw(columns([...(heading ? [HEAD] : []), ...streams.map(row)], { right: [1, 2] }));
      heading = false;
    }
    left -= streams.length;
    after = streams.at(-1)?.name ?? after;
    if (!more || left <= 0 || streams.length === 0) return;
  }
}

const HEAD = ['stream', 'records', 'next', 'last', 'fencing', 'lease'];

function row(stream: StreamDescription): string[] {
  const { name, nextSeqNum, firstSeqNum, timestamp, config, lease } = stream;
  const records = String(nextSeqNum - firstSeqNum);
  const holder = lease?.holder ?? '-';
  return [name, records, String(nextSeqNum), timeText(timestamp), config.fencing, holder];
}

async function create(call: Invocation, journal: Journal): Promise<void> {
  const stream = nameOf(call);
  const created = await journal.createStream(stream, configOf(call));
  call.output.document({ stream, created }, () =>
    created ? `${stream} was created` : `${stream} exists already; nothing was changed`,
  );
}

async function configure(call: Invocation, journal: Journal): Promise<void> {
  const stream = nameOf(call);
  const wanted = configOf(call);
  if (Object.keys(wanted).length === 0) {
    throw new UsageError('what to change? Give --fencing', call.command);
  }
  const { fencing } = await journal.configureStream(stream, wanted);
  call.output.document({ stream, fencing }, () => `${stream}: fencing ${fencing}`);
}

async function remove(call: Invocation, journal: Journal): Promise<number> {
  const stream = nameOf(call);
  const deleted = await journal.deleteStream(stream);
  call.output.document({ stream, deleted }, () =>
    deleted ? `${stream} was deleted` : `there was no stream ${stream}`,
  );
  return deleted ? EXIT.ok : EXIT.notFound;
}

function configOf({ values }: Invocation): Partial<StreamConfig> {
  const fencing = values.text('fencing');
  return fencing === undefined ? {} : { fencing: fencing === 'required' ? 'required' : 'none' };
}

function nameOf({ values }: Invocation): string {
  return values.text('stream') ?? '';
}
