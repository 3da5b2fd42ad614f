/**
 * `npm run bench -- readers`: a steady load through one region and more and more followers of the whole
 * journal at another. What a record costs that replica must not grow with the readers: what each further
 * reader costs is its messages and its bytes, and messages grow larger as readers grow more.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { round } from '../../libs/telemetry/figures.ts';
import { Client } from './client.ts';
import type { Instance } from './instance.ts';
import { startInstance } from './instance.ts';
import { openLoop } from './load.ts';
import { processorSeconds } from './processor-time.ts';

export interface ReadersBenchOptions {
  readonly seconds: number;
  readonly bytes: number;
  /** Appends per second. */
  readonly rate: number;
  readonly readers: readonly number[];
}

interface Row {
  readonly readers: number;
  readonly recordsPerSecond: number;
  /** Processor time of the replica that is read, per record appended. */
  readonly microsPerRecord: number;
  /** Messages that one reader got, per second. */
  readonly messagesPerSecond: number;
  /** Records that the slowest reader had not got when the load ended. */
  readonly behind: number;
  readonly appendP99Ms: number;
}

/** The replica that is read; the load goes through the first. */
const READ_REPLICA = 1;
const WARM_UP_SECONDS = 3;

export async function benchReaders(options: ReadersBenchOptions): Promise<object> {
  const instance = await startInstance('readers');
  const client = new Client(instance, options);
  const rows: Row[] = [];
  try {
    await openLoop(client.load(WARM_UP_SECONDS), options.rate);
    for (const readers of options.readers) {
      const row = await measure(instance, readers, () =>
        openLoop(client.load(options.seconds), options.rate),
      );
      rows.push(row);
      console.log(
        `${String(readers).padStart(5)} readers: ${row.microsPerRecord} µs a record at the replica, ` +
          `${row.messagesPerSecond} messages/s a reader, ${row.behind} records behind, append p99 ${row.appendP99Ms} ms`,
      );
    }
  } finally {
    client.close();
    await instance.stop();
  }
  return { bench: 'readers', ...options, rows };
}

async function measure(
  instance: Instance,
  readers: number,
  load: () => ReturnType<typeof openLoop>,
): Promise<Row> {
  const { cluster, name, replicas, children } = instance;
  const target = { cluster, instance: name };
  const counts = new Array<number>(readers).fill(0);
  let messages = 0;
  const channels = counts.map((_count, reader) => {
    const channel = connect(replicas[READ_REPLICA]?.address ?? '');
    const timestamp = BigInt(Date.now()) * 1000n;
    channel.serverStream(
      JournalService.method.read,
      { target, from: { case: 'timestamp', value: timestamp }, follow: true },
      {
        onMessage: ({ message }) => {
          messages += 1;
          if (message.case !== 'batches') return;
          const got = decodeDeliveries(message.value.frames).length;
          counts[reader] = (counts[reader] ?? 0) + got;
        },
        onEnd: () => undefined,
      },
    );
    return channel;
  });
  await pause(500);
  messages = 0;
  const pid = children[READ_REPLICA]?.pid ?? 0;
  const before = processorSeconds(pid) ?? 0;
  const startedAt = performance.now();
  const { recordsPerSecond, latency } = await load();
  const seconds = (performance.now() - startedAt) / 1000;
  const records = Math.round(recordsPerSecond * seconds);
  const behind = readers === 0 ? 0 : Math.max(0, records - Math.min(...counts));
  const used = (processorSeconds(pid) ?? 0) - before;
  for (const channel of channels) channel.close();
  return {
    readers,
    recordsPerSecond,
    microsPerRecord: round((used * 1e6) / Math.max(1, records)),
    messagesPerSecond: readers === 0 ? 0 : Math.round(messages / readers / seconds),
    behind,
    appendP99Ms: latency.p99Ms,
  };
}
