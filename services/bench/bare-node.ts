/**
 * The yardstick's process: `bare-node tcp|grpc home|follower PORT FILE [PEER PORT…]`. It does what no
 * replicated log can avoid, and nothing else: bytes come over a pipe, are written to a file with
 * O_DSYNC, one write under way and what came meanwhile in the next, and are confirmed by a count of
 * the bytes that are on two of three disks. No order, no framing, no checksums, no recovery.
 */
import { constants, openSync, write } from 'node:fs';
import { assert, at } from '../../libs/values/assert.ts';
import { writeU64 } from '../../libs/frames/ints.ts';
import { exitWithParent } from '../../libs/processes/exit-with-parent.ts';
import { onCounts } from './bare-counts.ts';
import { accept, dial } from './bare-pipe.ts';
import type { Pipe } from './bare-pipe.ts';

const { O_WRONLY, O_CREAT, O_DSYNC } = constants;

const [given, role, port, file = '', ...peers] = process.argv.slice(2);
const transport = given === 'grpc' ? 'grpc' : 'tcp';

/** Group commit: calls `onSynced` with all bytes that are on disk so far. */
function disk(onSynced: (bytes: number) => void): (data: Buffer) => void {
  const descriptor = openSync(file, O_WRONLY | O_CREAT | O_DSYNC, 0o600);
  let waiting: Buffer[] = [];
  let synced = 0;
  let busy = false;
  const flush = (): void => {
    if (busy || waiting.length === 0) return;
    busy = true;
    const group = waiting.length === 1 ? at(waiting, 0) : Buffer.concat(waiting);
    waiting = [];
    write(descriptor, group, 0, group.length, synced, (error, count) => {
      if (error !== null) throw error;
      assert(count === group.length, 'the disk takes a group whole');
      synced += count;
      busy = false;
      flush();
      onSynced(synced);
    });
  };
  return (data) => {
    waiting.push(data);
    // What came in one turn of the event loop shares a write.
    setImmediate(flush);
  };
}

function say(pipe: Pipe, count: number): void {
  const bytes = Buffer.allocUnsafe(8);
  writeU64(bytes, 0, count);
  pipe.write(bytes);
}

function follow(client: Pipe): void {
  client.onBytes(
    disk((synced) => {
      say(client, synced);
    }),
  );
}

function lead(client: Pipe): void {
  const held = [0, ...peers.map(() => 0)];
  let committed = 0;
  const note = (copy: number, bytes: number): void => {
    held[copy] = bytes;
    const [, second = 0] = [...held].sort((a, b) => b - a);
    if (second === committed) return;
    committed = second;
    say(client, committed);
  };
  const links = peers.map((peer, number) => {
    const link = dial(transport, Number(peer));
    onCounts(link, (bytes) => {
      note(number + 1, bytes);
    });
    return link;
  });
  const store = disk((synced) => {
    note(0, synced);
  });
  client.onBytes((data) => {
    for (const link of links) link.write(data);
    store(data);
  });
}

exitWithParent();
accept(transport, Number(port), role === 'home' ? lead : follow);
