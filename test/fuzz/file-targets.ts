/**
 * Files: a log's segment, a checkpoint, the snapshot in it, and the archive's objects. A damaged log is
 * refused or cut at its end; it never gives a frame that was not written.
 */
import {
  emptyManifest,
  decodeManifest,
  decodePage,
  decodeRoot,
} from '../../libs/archive/manifest.ts';
import { segmentKey } from '../../libs/archive/keys.ts';
import { decodeSegment, SegmentBuilder } from '../../libs/archive/segment.ts';
import { createOrderMachine, restoreOrderMachine } from '../../libs/order/machine.ts';
import { appendSynced, DIRECTORY, formattedDisk, open } from '../../libs/storage/scripted-log.ts';
import { writeFully } from '../../libs/storage/files.ts';
import { segmentName } from '../../libs/storage/format.ts';
import { timestamp } from '../../libs/values/numbers.ts';
import { loadSections, newHead, saveSections } from '../../services/journal/checkpoint-sections.ts';
import { LaneStore } from '../../services/journal/lane-store.ts';
import { LogState } from '../../services/journal/log-state.ts';
import { ReleaseIndex } from '../../services/journal/release-index.ts';
import { ENTRIES } from './frame-targets.ts';
import { same } from './target.ts';
import type { Target } from './target.ts';

const SEGMENT = `${DIRECTORY}/${segmentName(1)}`;

export async function fileTargets(): Promise<readonly Target[]> {
  return [await segmentTarget(), snapshotTarget(), checkpointTarget(), ...archiveTargets()];
}

async function segmentTarget(): Promise<Target> {
  const disk = formattedDisk();
  const written = new Set(await appendSynced(open(disk).log, 0, 20));
  const files = new Map<string, Buffer>();
  const original = disk.killProcess();
  for (const name of original.list(DIRECTORY) ?? []) {
    const path = `${DIRECTORY}/${name}`;
    const file = original.open(path, 'read');
    const bytes = Buffer.alloc(original.size(file));
    original.read(file, bytes, 0);
    original.close(file);
    files.set(path, bytes);
  }
  const first = files.get(SEGMENT) ?? Buffer.alloc(0);
  return {
    name: 'segment',
    seeds: [first],
    run: (input) => {
      // The files themselves are the same ones every time, so all of them are put back.
      const next = disk.killProcess();
      for (const [path, bytes] of files) {
        const file = next.open(path, 'write');
        next.truncate(file, 0);
        writeFully(next, file, path === SEGMENT ? input : bytes, 0);
        next.close(file);
      }
      const strange = open(next).bodies.find((it) => !written.has(it));
      if (strange !== undefined) throw new Error(`gives a frame that nobody wrote: ${strange}`);
    },
  };
}

function snapshotTarget(): Target {
  const machine = createOrderMachine();
  return {
    name: 'snapshot',
    seeds: [Buffer.concat([...machine.snapshot()])],
    run: (bytes) => {
      const restored = restoreOrderMachine([bytes]);
      same(restored.hash(), restoreOrderMachine(restored.snapshot()).hash());
    },
  };
}

function checkpointTarget(): Target {
  const mark = { epoch: 0, index: 0, timestamp: 0 } as never;
  const lane = { base: mark, released: mark, epochs: [], after: null };
  const head = newHead({
    watermark: timestamp(0),
    count: 0,
    lastTimestamp: timestamp(0),
    segment: 1,
    lanes: [lane, lane, lane],
    state: new LogState(0).copy(),
  });
  const source = {
    order: createOrderMachine(),
    index: new ReleaseIndex(),
    store: new LaneStore(1),
  };
  const sections = [...saveSections(head, source, () => undefined)];
  const streams = Buffer.from('0100010000007300000000000000000000000000000000', 'hex');
  const further = [3, 5, 6].map((kind) => Buffer.from([kind, ...Buffer.alloc(17)]));
  return {
    name: 'checkpoint',
    seeds: [joined(sections)],
    hints: [joined([...sections, ...further]), joined([...sections, streams])],
    run: (bytes) => {
      const { head: loaded } = loadSections(split(bytes), 1024);
      same(loaded, JSON.parse(JSON.stringify(loaded)));
    },
  };
}

/** Sections as bytes: each behind its length. */
function joined(sections: readonly Uint8Array[]): Buffer {
  const parts = sections.map((section) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(section.length);
    return Buffer.concat([length, section]);
  });
  return Buffer.concat(parts);
}

function* split(bytes: Uint8Array): Generator<Uint8Array> {
  const all = Buffer.from(bytes);
  for (let at = 0; at + 4 <= all.length;) {
    const end = at + 4 + all.readUInt32LE(at);
    yield all.subarray(at + 4, end);
    at = end;
  }
}

function archiveTargets(): Target[] {
  const root = {
    version: 1,
    cluster: 'c',
    instance: 'i',
    segmentBytes: 1024,
    windowMicros: 5,
    first: 0,
    goneTo: 0,
    state: null,
  } as never;
  const manifest = emptyManifest(root, 'ab');
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const sha256 = 'ab'.repeat(32);
  const place = { key: segmentKey(0, sha256), bytes: 9, sha256, first: 0, end: 4 };
  const page = [{ ...place, firstTimestamp: 1, lastTimestamp: 9, streams: ['s'] }];
  const builder = new SegmentBuilder(0, sha256);
  for (const [i, frame] of ENTRIES.entries()) {
    const streams = [{ stream: 's', first: i, next: i + 1 }];
    builder.add(frame, 73 + 8 * i, { streams, recordless: [i] });
  }
  return [
    { name: 'archive-root', seeds: [json(root)], run: (bytes) => void decodeRoot(bytes, 'k') },
    {
      name: 'archive-manifest',
      seeds: [json(manifest), json({ ...manifest, segments: page, end: 4, lastTimestamp: 9 })],
      run: (bytes) => void decodeManifest(bytes, 'k'),
    },
    { name: 'archive-page', seeds: [json(page)], run: (bytes) => void decodePage(bytes, 'k') },
    {
      name: 'archive-segment',
      seeds: [builder.finish().bytes],
      run: (bytes) => void decodeSegment(bytes, 'k'),
    },
  ];
}
