/** Archives: what is in one, who holds it, what may be deleted there. None of these talks to a journal. */
import { EXIT } from '../exit-codes.ts';
import type { ArgumentSpec, CommandSpec, OptionSpec } from '../spec.ts';

const DAY_MS = 86_400_000;

export const ARCHIVE_ARGUMENT: ArgumentSpec = {
  name: 'archive',
  value: { kind: 'path' },
  help: 'A directory, file:///directory or s3://bucket/prefix.',
};

export const PLACE_OPTIONS: readonly OptionSpec[] = [
  { name: 'region', placeholder: 'name', value: { kind: 'text' }, help: 'Of the bucket.' },
  {
    name: 'endpoint',
    placeholder: 'url',
    value: { kind: 'text' },
    help: 'Server of a bucket that is not at AWS.',
  },
  { name: 'path-style', help: 'The bucket in the path, not in the host name.' },
  {
    name: 'keys',
    placeholder: 'file',
    value: { kind: 'path' },
    help: 'Keys of an archive that is sealed, as archive.keysFile has them.',
  },
];

const JOURNAL_FIELDS = [
  { name: 'cluster', help: 'the cluster' },
  { name: 'instance', help: 'the instance' },
];
const EXTENT_FIELDS = [
  { name: 'first', help: 'number of the first entry that is not deleted' },
  { name: 'end', help: 'number behind the last entry' },
  { name: 'goneTo', help: 'all up to this log time is deleted, microseconds; 0: nothing is' },
];

export const ARCHIVE_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['archive', 'status'],
    asks: true,
    summary: 'Tell what an archive holds',
    about: [
      'Whose it is, from where to where it goes, how large it is, and which readers hold it, as its newest ' +
        'manifest says. Reads nothing else, and changes nothing.',
    ],
    args: [ARCHIVE_ARGUMENT],
    options: PLACE_OPTIONS,
    connects: false,
    json: {
      form: 'document',
      fields: [
        { name: 'archive', help: 'where it is' },
        ...JOURNAL_FIELDS,
        { name: 'manifest', help: 'number of the newest manifest' },
        ...EXTENT_FIELDS,
        { name: 'timestamp', help: 'log time up to which everything is archived' },
        { name: 'bytes', help: 'of all segments' },
        { name: 'waiting', help: 'objects that will be deleted' },
        {
          name: 'holds',
          help: 'list of name, timestamp (microseconds since 1970), expiresAt (ISO 8601)',
        },
      ],
    },
    examples: [
      { text: 'Of a bucket', command: 'meridian archive status s3://archive/orders' },
      { text: 'Of a directory', command: 'meridian archive status ./archive -o json' },
    ],
    load: () => import('../commands/archive.ts'),
  },
  {
    path: ['archive', 'hold'],
    summary: 'Register a reader: nothing it has not had is deleted',
    about: [
      'Until it expires, nothing behind the given log time is deleted in the archive, whatever its age and ' +
        'whoever trims. The same name again renews it, with what the reader has had by then. At most 100.',
      'Needs no right to delete. It is not a lease on the journal: the log of the replicas goes as always, ' +
        'because what leaves it is in the archive.',
    ],
    args: [ARCHIVE_ARGUMENT, { name: 'name', help: 'Of the reader.' }],
    options: [
      {
        name: 'from',
        placeholder: 'time',
        value: { kind: 'time' },
        help: 'What the reader has had; 0 for nothing.',
        defaultText: 'now',
      },
      {
        name: 'for',
        placeholder: 'duration',
        value: { kind: 'duration', leastMs: 1_000, mostMs: 366 * DAY_MS },
        help: 'When it expires, unless it is renewed.',
        defaultText: '7d',
      },
      ...PLACE_OPTIONS,
    ],
    connects: false,
    json: {
      form: 'document',
      fields: [
        { name: 'name', help: 'of the reader' },
        { name: 'timestamp', help: 'what it has had, microseconds since 1970' },
        { name: 'expiresAt', help: 'ISO 8601' },
        { name: 'goneTo', help: 'all up to this log time was deleted before' },
      ],
    },
    examples: [
      {
        text: 'A new reader that will read everything',
        command: 'meridian archive hold s3://archive/orders warehouse --from 0 --for 14d',
      },
      { text: 'Renew', command: 'meridian archive hold s3://archive/orders warehouse --from -1h' },
    ],
    load: () => import('../commands/archive-hold.ts'),
  },
  {
    path: ['archive', 'release'],
    summary: 'End a hold',
    about: ['The reader has all it wanted, or is gone.'],
    args: [ARCHIVE_ARGUMENT, { name: 'name', help: 'Of the reader.' }],
    options: PLACE_OPTIONS,
    connects: false,
    json: {
      form: 'document',
      fields: [
        { name: 'name', help: 'of the reader' },
        { name: 'released', help: 'false: there was no such hold' },
        { name: 'heldBy', help: 'the hold that forbids most now, or null' },
      ],
    },
    exits: [{ code: EXIT.notFound, help: 'there is no such hold' }],
    examples: [
      { text: 'Release', command: 'meridian archive release s3://archive/orders warehouse' },
      { text: 'In a directory', command: 'meridian archive release ./archive warehouse' },
    ],
    load: () => import('../commands/archive-hold.ts'),
  },
  {
    path: ['archive', 'clean'],
    summary: 'Delete in an archive what nobody needs any more',
    about: [
      'One round of the janitor; run it by a timer, with credentials that may delete, which no replica has. ' +
        'From the beginning on it takes away what is older than --max-age, what is more than --max-size, and ' +
        'with --trimmed what every stream has trimmed; never what a hold forbids, and never the last segment.',
      'Age counts in log time, back from the last archived entry: a wrong clock here deletes nothing too ' +
        'early. First a manifest names the segments no more; their objects go in a later round, --grace ' +
        'after, so that who reads by an older manifest finds them, or is told a gap. An interrupted round ' +
        'is finished by the next one. Without a rule nothing would be deleted, so one must be given.',
      'With --unnamed also objects go that were uploaded and that no manifest ever named, because a writer ' +
        'ended in between. A first round makes a manifest after which nobody can name them any more; ' +
        'a later one, --grace after, deletes them. Programs older than that manifest do not write to the ' +
        'archive any more: upgrade all replicas before.',
    ],
    args: [ARCHIVE_ARGUMENT],
    options: [
      {
        name: 'max-age',
        placeholder: 'duration',
        value: { kind: 'duration', leastMs: 1_000 },
        help: 'Older entries go.',
      },
      {
        name: 'max-size',
        placeholder: 'size',
        value: { kind: 'bytes', least: 1 },
        help: 'Of segments; what is more goes, the oldest first.',
      },
      {
        name: 'trimmed',
        help: 'What every stream has trimmed goes, and what deleted streams left.',
      },
      {
        name: 'unnamed',
        placeholder: 'duration',
        value: { kind: 'duration' },
        help: 'What was uploaded this long ago and never named goes.',
      },
      {
        name: 'grace',
        placeholder: 'duration',
        value: { kind: 'duration' },
        help: 'Between the manifest that does not name an object and its deletion.',
        defaultText: '1h',
      },
      { name: 'dry-run', help: 'Only tell what would go.' },
      ...PLACE_OPTIONS,
    ],
    connects: false,
    json: {
      form: 'document',
      fields: [
        ...JOURNAL_FIELDS,
        ...EXTENT_FIELDS,
        { name: 'removedSegments', help: 'segments that are named no more, or would not be' },
        { name: 'removedBytes', help: 'of these' },
        { name: 'deletedObjects', help: 'objects deleted in this round' },
        { name: 'waitingObjects', help: 'objects to be deleted in a later one' },
        { name: 'unnamedObjects', help: 'objects never named, to be deleted in a later one' },
        { name: 'heldBy', help: 'the hold that kept something, or null' },
      ],
    },
    examples: [
      {
        text: 'Keep 90 days, and what is not trimmed',
        command: 'meridian archive clean s3://archive/orders --max-age 90d',
      },
      {
        text: 'What would go',
        command: 'meridian archive clean ./archive --trimmed --max-size 500GiB --dry-run',
      },
    ],
    load: () => import('../commands/archive-clean.ts'),
  },
];
