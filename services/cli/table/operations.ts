/** Commands for who runs a journal. */
import { EXIT } from '../exit-codes.ts';
import type { CommandSpec } from '../spec.ts';
import { ARCHIVE_ARGUMENT, PLACE_OPTIONS } from './archive.ts';
import { TIMESTAMP_FIELDS } from './options.ts';

export const OPERATION_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['status'],
    asks: true,
    summary: 'Show every replica: who hears whom, lanes, watermarks, lag, clocks, disks',
    about: [
      'Asks every replica for its own view and shows them side by side. lag is how far the watermark, ' +
        'up to which the order is final, is behind the clock; an idle journal shows some tens of ' +
        'milliseconds. A lane is sealed while its home is away; that is routine.',
      'A replica that does not answer within --deadline, here two seconds by default, is shown as such. The exit code is 0 when any ' +
        'answers; for monitoring use --check, and with -q only the problems are printed.',
    ],
    options: [
      {
        name: 'watch',
        placeholder: 'duration',
        value: { kind: 'duration', leastMs: 100, mostMs: 3_600_000 },
        help: 'Show it again and again, this long apart, until Ctrl-C.',
      },
      { name: 'check', help: 'Exit with 9 when there is any problem.' },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'cluster', help: 'the cluster' },
        { name: 'instance', help: 'the instance' },
        { name: 'time', help: 'when it was asked, ISO 8601' },
        { name: 'healthy', help: 'there are no problems' },
        { name: 'problems', help: 'list of sentences' },
        {
          name: 'replicas',
          help:
            'list of region, address, answers, tookMs, error (reason, message; or null), and state ' +
            '(null without an answer): replica, version, uptimeSeconds, voting, clockSafe, wallClock, ' +
            'clock, watermark, watermarkLagMs, lastTimestamp, releasedEntries, releaseHash, ' +
            'backlogEntries, streams, sessions, readers, queuedAppends, unansweredBytes, ' +
            'appendLatency and syncLatency (count, p50Ms, p99Ms, maxMs), disk (totalBytes, freeBytes, ' +
            'logBytes, segments), lanes (lane, home, epoch, writer, sealed, role, firstIndex, lastIndex, ' +
            'syncedIndex, committedIndex, resolved), peers (region, heard, hearsUs, roundTripMs, ' +
            'clockOffsetMs)',
        },
        { name: 'hears', help: 'hears[a][b]: a hears b directly; null when not known' },
      ],
    },
    exits: [
      { code: EXIT.unavailable, help: 'no replica answers' },
      { code: EXIT.no, help: 'with --check: there are problems' },
    ],
    examples: [
      { text: 'How it is', command: 'meridian status' },
      { text: 'For a monitor', command: 'meridian status --check --output json' },
    ],
    load: () => import('../commands/status.ts'),
  },
  {
    path: ['doctor'],
    asks: true,
    summary: 'Say what is wrong, what it means and what to do',
    about: [
      'Asks every replica, and the sidecars that are named, and judges their answers: clocks, disks, who hears ' +
        'whom, what is behind, versions, and certificates that expire within a week. Changes nothing.',
    ],
    options: [
      {
        name: 'sidecar',
        placeholder: 'host:port',
        value: { kind: 'text' },
        repeated: true,
        help: 'A sidecar to ask, too; may be given several times.',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'cluster', help: 'the cluster' },
        { name: 'instance', help: 'the instance' },
        { name: 'time', help: 'when it was asked, ISO 8601' },
        { name: 'encrypted', help: 'calls go through TLS' },
        { name: 'findings', help: 'list of problem, advice' },
        {
          name: 'certificates',
          help: 'list of of (own, or a region) and expiresAt (ISO 8601; or null)',
        },
      ],
    },
    exits: [{ code: EXIT.no, help: 'something is wrong' }],
    examples: [
      { text: 'Is all well?', command: 'meridian doctor' },
      { text: 'With a sidecar', command: 'meridian doctor --sidecar 10.0.1.20:7700' },
    ],
    load: () => import('../commands/doctor.ts'),
  },
  {
    path: ['check-impact'],
    asks: true,
    summary: 'May a region go down now?',
    about: [
      'Judges whether the other two can go on alone: both answer, vote, trust their clocks, hear each ' +
        'other directly (with the third gone nobody forwards), have on disk what there is, and have ' +
        'room. Exit code 0 says yes, 9 says no. Without a region: for each of them.',
      'For scripts that restart regions one after the other: ask before each, and wait for a yes.',
    ],
    args: [{ name: 'which', help: 'The region that is to go down.', optional: true }],
    options: [
      {
        name: 'max-lag',
        placeholder: 'duration',
        value: { kind: 'duration', leastMs: 1 },
        help: 'A watermark further behind says no.',
        defaultText: '5s',
      },
      {
        name: 'max-entries',
        placeholder: 'n',
        value: { kind: 'count' },
        help: 'A replica that misses more entries of a lane says no.',
        defaultText: '10000',
      },
      {
        name: 'min-free',
        placeholder: 'size',
        value: { kind: 'bytes' },
        help: 'A disk with less free says no.',
        defaultText: '256MiB',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'allowed', help: 'yes, for every region asked about' },
        {
          name: 'regions',
          help: 'list of region, allowed, reasons (why not), effects (what happens)',
        },
      ],
    },
    exits: [{ code: EXIT.no, help: 'it must not go down now' }],
    examples: [
      { text: 'Before a restart', command: 'meridian check-impact eu-west-1' },
      {
        text: 'Wait until it may',
        command: 'until meridian check-impact eu-west-1 -q; do sleep 1; done',
      },
    ],
    load: () => import('../commands/check-impact.ts'),
  },
  {
    path: ['digest'],
    asks: true,
    summary: 'Compare what the replicas released',
    about: [
      'Every replica keeps a running hash of everything it released. They are compared at the highest ' +
        'number of entries that all remember, also while appends go on. A difference means that two ' +
        'regions read different records: it must never happen, and exit code 9 says so.',
      'First waits until everything completed before the call is released everywhere.',
    ],
    options: [
      {
        name: 'wait',
        placeholder: 'duration',
        value: { kind: 'duration' },
        help: 'How long to wait for replicas that are behind.',
        defaultText: '5s',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'equal', help: 'true, false, or null when there was nothing to compare' },
        { name: 'entries', help: 'after how many entries they were compared' },
        ...TIMESTAMP_FIELDS,
        { name: 'covered', help: 'all have released everything completed before the call' },
        { name: 'agreedEntries', help: 'the highest compared number at which they are equal' },
        { name: 'missing', help: 'regions that did not answer' },
        {
          name: 'replicas',
          help: 'list of region, hash (at entries), releasedEntries, releaseHash, watermark',
        },
      ],
    },
    exits: [
      { code: EXIT.no, help: 'they differ' },
      { code: EXIT.unavailable, help: 'a replica does not answer, or there is nothing to compare' },
    ],
    examples: [
      { text: 'Compare', command: 'meridian digest' },
      { text: 'Only what is released now', command: 'meridian digest --wait 0s' },
    ],
    load: () => import('../commands/digest.ts'),
  },
  {
    path: ['restore'],
    summary: 'Build a replica from an archive alone',
    about: [
      'Executes the archived order again, checks every object on the way, and writes the data directory of ' +
        'one replica, up to the last archived position, which it prints. What was acknowledged after it and ' +
        'not archived is not there. Do it for all three replicas: equal archives give equal content, and the ' +
        'printed order must be the same.',
      'Configure the restored replicas with the same archive: records older than their logs are read from ' +
        'it, and archiving goes on. The replicas that wrote to it before must not run any more.',
    ],
    args: [
      ARCHIVE_ARGUMENT,
      {
        name: 'directory',
        value: { kind: 'path' },
        help: 'The data directory to make; empty or not there.',
      },
    ],
    options: [
      {
        name: 'replica',
        placeholder: 'n',
        value: { kind: 'count', least: 0, most: 2 },
        required: true,
        help: 'Number of the replica: 0, 1 or 2.',
      },
      {
        name: 'generation',
        placeholder: 'n',
        value: { kind: 'count', least: 1 },
        help: 'Generation of the membership, as in the configuration.',
        defaultText: '1',
      },
      ...PLACE_OPTIONS,
    ],
    connects: false,
    json: {
      form: 'document',
      fields: [
        { name: 'directory', help: 'what was made' },
        { name: 'cluster', help: 'the cluster' },
        { name: 'instance', help: 'the instance' },
        { name: 'replica', help: 'its number' },
        { name: 'generation', help: 'of the membership' },
        { name: 'entries', help: 'entries in the restored order' },
        { name: 'timestamp', help: 'last archived position, microseconds since 1970' },
        { name: 'hash', help: 'of the restored order' },
      ],
    },
    examples: [
      {
        text: 'From a bucket',
        command: 'meridian restore s3://archive/orders /var/lib/meridian/orders --replica 0',
      },
      { text: 'From a directory', command: 'meridian restore ./archive ./data-1 --replica 1' },
    ],
    load: () => import('../commands/restore.ts'),
  },
  {
    path: ['verify'],
    asks: true,
    summary: 'Check the data directory of a replica',
    about: [
      'Reads everything in the directory and checks it: identity, segments, the chain of frames and ' +
        'their checksums, entries and batches, the order in each lane, checkpoints. Takes no part: it ' +
        'opens nothing for writing, takes no lock and repairs nothing.',
      'Of a running replica it checks what was on disk when it began; a write that is under way shows ' +
        'as unfinished bytes at the end, and so does one that a crash cut off. Neither is damage.',
    ],
    args: [{ name: 'directory', value: { kind: 'path' }, help: 'The data directory.' }],
    connects: false,
    json: {
      form: 'document',
      fields: [
        { name: 'directory', help: 'what was checked' },
        { name: 'sound', help: 'there are no findings' },
        { name: 'identity', help: 'cluster, instance, replica, generation; null when unreadable' },
        { name: 'inUseBy', help: 'process that seems to use it; null for none' },
        { name: 'segments', help: 'list of file, bytes, frames' },
        { name: 'frames', help: 'frames in all of them' },
        { name: 'entries', help: 'entries among those' },
        { name: 'batches', help: 'batches in them' },
        { name: 'records', help: 'records in them' },
        {
          name: 'lanes',
          help: 'list of lane, firstIndex, lastIndex, lastEpoch, lastTimestamp, promised',
        },
        { name: 'checkpoints', help: 'list of file, sections' },
        { name: 'aside', help: 'what was set aside as damaged at an earlier start' },
        { name: 'unfinishedBytes', help: 'bytes of an unfinished write at the end' },
        { name: 'closed', help: 'the log was closed in order' },
        { name: 'findings', help: 'list of file, offset, problem; the first 100' },
      ],
    },
    exits: [
      { code: EXIT.no, help: 'there are findings' },
      { code: EXIT.notFound, help: 'no such directory, or not one of a replica' },
    ],
    examples: [
      { text: 'A directory', command: 'meridian verify /var/lib/meridian/orders' },
      {
        text: 'The findings alone',
        command: "meridian verify /var/lib/meridian/orders -o json | jq '.findings'",
      },
    ],
    load: () => import('../commands/verify.ts'),
  },
  {
    path: ['explain'],
    asks: true,
    summary: 'Tell where one record lives and how far it has come',
    about: [
      'A record by its stream and number, or an entry by its timestamp: its lane, epoch and slot, the ' +
        'batch and writer it came with, by which path it was committed, and for each replica whether it holds it on disk, knows it to ' +
        'be on two disks (committed), and has given it its final place (released).',
    ],
    args: [
      { name: 'stream', help: 'The stream.', optional: true },
      { name: 'seq-num', value: { kind: 'count' }, help: 'Number of the record.', optional: true },
    ],
    options: [
      {
        name: 'timestamp',
        placeholder: 'micros',
        value: { kind: 'count' },
        help: 'Instead of stream and number: the timestamp that an append was answered with.',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        {
          name: 'record',
          help: 'stream, seqNum, recordOffset, firstSeqNum (of its batch), writer (id, epoch, seq; or null); null for a timestamp',
        },
        ...TIMESTAMP_FIELDS,
        { name: 'lane', help: 'its lane' },
        { name: 'home', help: 'the home region of the lane' },
        { name: 'epoch', help: 'epoch in which it was written' },
        { name: 'writer', help: 'region that wrote it' },
        { name: 'index', help: 'its slot in the lane' },
        { name: 'entry', help: 'bytes, batches, records of the entry' },
        { name: 'copies', help: 'replicas that have it on disk' },
        {
          name: 'path',
          help: 'forwardedVia: region that forwarded when it was committed, null for none; null when not known',
        },
        { name: 'replicas', help: 'list of region, answers, holds, synced, committed, released' },
      ],
    },
    exits: [{ code: EXIT.notFound, help: 'no such stream or record' }],
    examples: [
      { text: 'A record', command: 'meridian explain orders 42' },
      {
        text: 'What an append was answered with',
        command: 'meridian explain --timestamp 1795274529123456',
      },
    ],
    load: () => import('../commands/explain.ts'),
  },
];
