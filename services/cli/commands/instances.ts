/** `meridian instances list | join | leave | renew`. */
import type { InstanceStatus } from '../../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { UsageError } from '../arguments.ts';
import { columns } from '../columns.ts';
import { Database } from '../database.ts';
import type { Changed, Life } from '../database.ts';
import { parseReplicas } from '../endpoint.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { timeText } from '../units.ts';

export async function run(call: Invocation): Promise<number> {
  const database = new Database(await call.endpoint(), call.values.texts('crossbar'));
  try {
    switch (call.command.path[1]) {
      case 'join':
        return await join(call, database);
      case 'leave':
        return await leave(call, database);
      case 'renew':
        return await renew(call, database);
      default:
        return await list(call, database);
    }
  } finally {
    await database.close();
  }
}

const HEAD = ['number', 'name', 'state', 'since', 'until', 'watermark', 'read from', ''];

async function list(call: Invocation, database: Database): Promise<number> {
  const { lives, registry, status } = await database.view();
  const quiet = call.values.flag('quiet');
  const rows = lives.map((life) => {
    const at = status.instances.find(({ number }) => number === life.number) ?? null;
    const isRegistry = life.name === registry;
    const { source = null, stalling = false } = at ?? {};
    const watermark = at === null ? null : Number(at.watermark);
    const value = { ...life, watermark, source, stalling, registry: isRegistry };
    call.output.line(value, () => (quiet ? life.name : null));
    return row(life, at, isRegistry);
  });
  if (!call.output.json && !quiet) call.output.raw(columns([HEAD, ...rows], { right: [0] }));
  return EXIT.ok;
}

function row(life: Life, at: InstanceStatus | null, isRegistry: boolean): string[] {
  const since = life.joinedAt === 0 ? 'founder' : timeText(life.joinedAt);
  const until = life.leftAt === 0 ? '-' : timeText(life.leftAt);
  const watermark = at === null ? '-' : timeText(Number(at.watermark));
  const notes = [isRegistry ? 'registry' : '', at?.stalling === true ? 'holds up the others' : ''];
  const { number, name, state } = life;
  const from = at?.source ?? '-';
  return [String(number), name, state, since, until, watermark, from, notes.join(' ').trim()];
}

async function join(call: Invocation, database: Database): Promise<number> {
  const name = call.values.text('name') ?? '';
  const number = call.values.number('number') ?? 0;
  return tell(call, await database.join(number, name, replicasOf(call, 'joining')));
}

async function leave(call: Invocation, database: Database): Promise<number> {
  const name = call.values.text('name') ?? '';
  const changed = await database.leave(name, replicasOf(call, 'leaving'), {
    without: call.values.texts('without'),
    note: (text) => {
      call.output.note(text);
    },
    warn: (text) => {
      call.output.warn(text);
    },
  });
  return tell(call, changed);
}

async function renew({ output }: Invocation, database: Database): Promise<number> {
  const renewed = await database.renew();
  const { renewedAt, records } = renewed;
  output.document(renewed, () => {
    return `said again at ${renewedAt} (${timeText(renewedAt)}); records left: ${records}`;
  });
  return EXIT.ok;
}

function tell({ output, values, command }: Invocation, life: Changed): number {
  const at = command.path[1] === 'join' ? life.joinedAt : life.leftAt;
  output.document(life, () => {
    if (values.flag('quiet')) return String(at);
    const when = at === 0 ? 'from the beginning' : `behind ${at} (${timeText(at)})`;
    const what = life.state === 'member' ? 'is a member' : 'is no member any more';
    return `${life.name} ${what} ${when}${life.changed ? '' : '; nothing was changed'}`;
  });
  return EXIT.ok;
}

function replicasOf(call: Invocation, option: string): { region: string; address: string }[] {
  const fail = (message: string): never => {
    throw new UsageError(message, call.command);
  };
  return (
    parseReplicas(call.values.text(option), `--${option}`, fail) ?? fail(`--${option} is empty`)
  );
}
