/**
 * Reads against real replicas: limits and filters end to end, a hundred clients that take nothing, a
 * slow one that is cut off and goes on, and what the metrics say meanwhile.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HEADROOM_BYTES } from '../../libs/processes/heap-headroom.ts';
import { connectJournal, keyPrefix } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { Cluster, RawSession, TARGET, until } from './cluster.ts';

const READERS = 100;
const BATCH_BYTES = 100_000;
const BATCHES = 300;
const SLOW_READER_MS = 2_000;
const READERS_BYTES_MAX = 8 * 1024 * 1024;
/** What the process takes for a hundred connections and calls, and noise. */
const CONNECTIONS_BYTES = 128 * 1024 * 1024;

let cluster: Cluster;
let metricsPort: number;
let journal: Journal;

beforeEach(async () => {
  cluster = new Cluster();
  const ports = await reservePorts(1);
  releasePorts(ports);
  metricsPort = ports[0] ?? 0;
  cluster.overrides['limits'] = { readersBytesMax: READERS_BYTES_MAX };
  cluster.overrides['timings'] = { slowReaderMs: SLOW_READER_MS };
  await cluster.start();
  await cluster.kill(0);
  cluster.overrides['metricsListen'] = `127.0.0.1:${metricsPort}`;
  await cluster.startReplica(0);
  journal = connectJournal({
    ...TARGET,
    replicas: cluster.clientPorts.map((port, i) => ({
      region: `r${i}`,
      address: `127.0.0.1:${port}`,
    })),
  });
});

afterEach(async () => {
  await journal.close({ drainMs: 0 });
  await cluster.stop();
});

async function metric(series: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const found = text.split('\n').find((line) => line.startsWith(`${series} `));
  if (found === undefined) throw new Error(`no ${series} in:\n${text}`);
  return Number(found.slice(series.length + 1));
}

async function fill(): Promise<void> {
  const body = Buffer.alloc(BATCH_BYTES, 'x');
  const session = new RawSession(cluster.channel(0));
  for (let sent = 0; sent < BATCHES; sent += 30) {
    for (let i = 0; i < 30; i += 1) {
      session.sendFrames(encodeBatch({ stream: 'large', records: [{ body }] }));
    }
    await session.whenAnswered(sent + 30);
  }
  session.end();
}

describe('reads of real replicas', () => {
  it('keep the memory flat with a hundred clients that take nothing, and cut them off', async () => {
    await fill();
    await until(async () => (await metric('meridian_journal_reads')) === 0);
    const before = await metric('process_resident_memory_bytes');
    const channels = Array.from({ length: READERS }, () =>
      connect(`127.0.0.1:${cluster.clientPorts[0]}`, { windowBytes: 65_536 }),
    );
    const reasons: string[] = [];
    const calls = channels.map((channel) => {
      const call = channel.serverStream(
        JournalService.method.read,
        { target: TARGET, follow: true },
        { onMessage: () => undefined, onEnd: (error) => reasons.push(error?.reason ?? 'well') },
      );
      call.pause();
      return call;
    });
    try {
      await until(async () => (await metric('meridian_journal_reads')) === READERS);
      await until(async () => (await metric('meridian_journal_reads_cut_off_total')) === READERS);
      const used = await metric('meridian_journal_reader_waiting_bytes');
      expect(await metric('meridian_journal_limit{setting="readersBytesMax"}')).toBe(
        READERS_BYTES_MAX,
      );
      expect(used).toBeGreaterThan(READERS * BATCH_BYTES);
      expect(used).toBeLessThan(READERS_BYTES_MAX + 2 * READERS * BATCH_BYTES);
      const grown = (await metric('process_resident_memory_bytes')) - before;
      // Everything there is, for each of them, would be three gigabytes; garbage may lie about meanwhile.
      expect(grown).toBeLessThan(CONNECTIONS_BYTES + HEADROOM_BYTES);
      for (const call of calls) call.resume();
      await until(() => reasons.length === READERS);
      expect(new Set(reasons)).toEqual(new Set(['SLOW_READER']));
      await until(async () => (await metric('meridian_journal_reader_waiting_bytes')) === 0);
    } finally {
      for (const channel of channels) channel.close();
    }
    expect(await metric('meridian_journal_serving')).toBe(1);
  });

  it('go on by themselves in the client library after being cut off', async () => {
    await fill();
    const slow = connectJournal({
      ...TARGET,
      replicas: [{ region: 'r0', address: `127.0.0.1:${cluster.clientPorts[0]}` }],
      windowBytes: 65_536,
    });
    const seen: number[] = [];
    for await (const { seqNum } of slow.records({ stream: 'large', from: 'start', follow: true })) {
      if (seen.length === 0) {
        await until(async () => (await metric('meridian_journal_reads_cut_off_total')) > 0);
      }
      seen.push(seqNum);
      if (seen.length === BATCHES) break;
    }
    expect(seen).toEqual(Array.from({ length: BATCHES }, (_unused, i) => i));
    await slow.close();
  });

  it('filter and limit end to end, and the metrics count what was done', async () => {
    const record = (key: string): { key: Uint8Array; body: Uint8Array } => ({
      key: Buffer.from(key),
      body: Buffer.alloc(1000),
    });
    for (let i = 0; i < 40; i += 1) {
      await journal.append('s', [record(`a${i}`), record(i % 10 === 0 ? `k${i}` : `b${i}`)]);
    }
    const keys = [keyPrefix(Buffer.from('k'))];
    const found: string[] = [];
    const gaps: string[] = [];
    let bytes = 0;
    for await (const item of journal.read({ stream: 's', from: 'start', keys })) {
      if (item.type === 'gap') gaps.push(item.kind);
      if (item.type !== 'batches') continue;
      for (const batch of item.batches) {
        for (const each of batch.records) {
          found.push(Buffer.from(each.key ?? []).toString());
          bytes += each.body.length;
        }
      }
    }
    expect([found, bytes]).toEqual([['k0', 'k10', 'k20', 'k30'], 4000]);
    expect(new Set(gaps)).toEqual(new Set(['filtered']));
    const last: number[] = [];
    const options = { stream: 's', from: { tailOffset: 5 }, untilSeqNum: 78 } as const;
    for await (const { seqNum } of journal.records(options)) last.push(seqNum);
    expect(last).toEqual([75, 76, 77]);

    expect(await metric('meridian_journal_appends_total{ack="ORDERED",outcome="appended"}')).toBe(
      40,
    );
    expect(await metric('meridian_journal_append_records_total')).toBe(80);
    expect(await metric('meridian_journal_batch_bytes_count')).toBe(40);
    expect(await metric('meridian_journal_peer_heard{peer="1"}')).toBe(1);
    expect(await metric('meridian_journal_watermark_lag_seconds')).toBeLessThan(5);
    expect(await metric('meridian_journal_lane_sealed{lane="0"}')).toBe(0);
    const ready = await fetch(`http://127.0.0.1:${metricsPort}/readyz`);
    expect(ready.status).toBe(200);
  });
});
