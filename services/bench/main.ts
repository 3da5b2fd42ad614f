/** `npm run bench -- <name> [options]`: each ends with one JSON line of its figures. */
import { parseArgs } from 'node:util';
import { keepHeapHeadroom } from '../../libs/processes/heap-headroom.ts';
import { benchAppend } from './append.ts';
import { benchCrossbar } from './crossbar.ts';
import { benchCatchUp } from './catch-up.ts';
import { benchFairness } from './fairness.ts';
import type { Instance } from './instance.ts';
import { MEMORY_PHASES, benchMemory } from './memory.ts';
import type { MemoryPhase } from './memory.ts';
import { benchPg } from './pg.ts';
import { benchReaders } from './readers.ts';
import { benchRestart } from './restart.ts';

const USAGE = `npm run bench -- append [--seconds 5] [--bytes 1024] [--inflight 1,16,64,256] [--ack QUORUM,ORDERED]
         [--cluster NAME --instance NAME --replicas REGION=HOST:PORT,...]   a running instance; without: its own
npm run bench -- restart [--mebibytes 1024] [--bytes 1024] [--streams 1] [--inflight 256]
npm run bench -- catchup [--mebibytes 1024] [--bytes 1024] [--rate 1000] [--seconds 5]
npm run bench -- readers [--seconds 5] [--bytes 1024] [--rate 1000] [--readers 0,1,10,100]
npm run bench -- crossbar [--seconds 5] [--bytes 1024] [--records 20000] [--instances 1,2] [--subscribers 1,8]
npm run bench -- fairness [--seconds 5] [--bytes 1024] [--clients 8]
npm run bench -- memory [--seconds 60] [--bytes 1024] [--rate 2000] [--streams 100000]
         [--phases steady,dead,slow,flood,streams]
npm run bench -- pg [--seconds 5] [--clients 1,8,32] [--backlog 60000]
`;
const EXIT_USAGE = 64;

const [name = '', ...rest] = process.argv.slice(2);

function numbers(text: string): number[] {
  const list = text.split(',').map(Number);
  if (list.some((value) => !Number.isInteger(value) || value < 1)) usage(`not numbers: ${text}`);
  return list;
}

function usage(problem: string): never {
  process.stderr.write(`${problem}\n${USAGE}`);
  process.exit(EXIT_USAGE);
}

function acks(text: string): ('QUORUM' | 'ORDERED')[] {
  return text.split(',').map((ack) => {
    if (ack !== 'QUORUM' && ack !== 'ORDERED') usage(`no such acknowledgement: ${ack}`);
    return ack;
  });
}

function memoryPhases(text: string): MemoryPhase[] {
  return text.split(',').map((named) => {
    return MEMORY_PHASES.find((phase) => phase === named) ?? usage(`no such phase: ${named}`);
  });
}

/** null: none was named. */
function running(
  cluster?: string,
  name?: string,
  replicas?: string,
): { readonly running: Instance } | null {
  if (cluster === undefined && name === undefined && replicas === undefined) return null;
  if (cluster === undefined || name === undefined || replicas === undefined) {
    return usage('--cluster, --instance and --replicas come together');
  }
  const list = replicas.split(',').map((part) => {
    const [region = '', address = ''] = part.split('=');
    if (region === '' || address === '') usage(`not region=host:port: ${part}`);
    return { region, address };
  });
  const stop = (): Promise<void> => Promise.resolve();
  return { running: { cluster, name, replicas: list, children: [], keepers: [], stop } };
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string' },
      rate: { type: 'string' },
      readers: { type: 'string', default: '0,1,10,100' },
      bytes: { type: 'string', default: '1024' },
      inflight: { type: 'string', default: '1,16,64,256' },
      ack: { type: 'string', default: 'QUORUM,ORDERED' },
      clients: { type: 'string' },
      backlog: { type: 'string', default: '60000' },
      mebibytes: { type: 'string', default: '1024' },
      streams: { type: 'string' },
      phases: { type: 'string', default: MEMORY_PHASES.join() },
      records: { type: 'string', default: '20000' },
      instances: { type: 'string', default: '1,2' },
      subscribers: { type: 'string', default: '1,8' },
      cluster: { type: 'string' },
      instance: { type: 'string' },
      replicas: { type: 'string' },
    },
  }).values;
}

function parsed(args: readonly string[]): ReturnType<typeof parse> {
  try {
    return parse(args);
  } catch (error) {
    // Node's own message names the option; anything else it throws is no mistake of the user's.
    if (error instanceof TypeError) return usage(error.message);
    throw error;
  }
}

async function run(values: ReturnType<typeof parse>): Promise<object> {
  const seconds = numbers(values.seconds ?? '5')[0] ?? 5;
  switch (name) {
    case 'append':
      return benchAppend({
        seconds,
        bytes: numbers(values.bytes)[0] ?? 1024,
        inflight: numbers(values.inflight),
        acks: acks(values.ack),
        ...running(values.cluster, values.instance, values.replicas),
      });
    case 'catchup':
      return benchCatchUp({
        seconds,
        bytes: numbers(values.bytes)[0] ?? 1024,
        mebibytes: numbers(values.mebibytes)[0] ?? 1024,
        rate: numbers(values.rate ?? '1000')[0] ?? 1000,
      });
    case 'restart':
      return benchRestart({
        bytes: numbers(values.bytes)[0] ?? 1024,
        mebibytes: numbers(values.mebibytes)[0] ?? 1024,
        inflight: numbers(values.inflight).at(-1) ?? 256,
        streams: numbers(values.streams ?? '1')[0] ?? 1,
      });
    case 'readers':
      return benchReaders({
        seconds,
        bytes: numbers(values.bytes)[0] ?? 1024,
        rate: numbers(values.rate ?? '1000')[0] ?? 1000,
        readers: values.readers.split(',').map(Number),
      });
    case 'fairness':
      return benchFairness({
        seconds,
        bytes: numbers(values.bytes)[0] ?? 1024,
        clients: numbers(values.clients ?? '8')[0] ?? 8,
      });
    case 'memory':
      return benchMemory({
        seconds: values.seconds === undefined ? 60 : seconds,
        bytes: numbers(values.bytes)[0] ?? 1024,
        rate: numbers(values.rate ?? '2000')[0] ?? 2000,
        streams: numbers(values.streams ?? '100000')[0] ?? 100_000,
        phases: memoryPhases(values.phases),
      });
    case 'crossbar':
      return benchCrossbar({
        seconds,
        bytes: numbers(values.bytes)[0] ?? 1024,
        records: numbers(values.records)[0] ?? 20_000,
        instances: numbers(values.instances),
        subscribers: numbers(values.subscribers),
      });
    case 'pg':
      return benchPg({
        seconds,
        clients: numbers(values.clients ?? '1,8,32'),
        backlog: Number(values.backlog),
      });
    default:
      return usage(name === '' ? 'which one?' : `no bench called ${name}`);
  }
}

if (['help', '--help', '-h'].includes(name) || rest.includes('--help')) {
  process.stdout.write(USAGE);
  process.exit(0);
}
keepHeapHeadroom();
run(parsed(rest)).then(
  (figures) => {
    console.log(JSON.stringify(figures));
  },
  (error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  },
);
