/** Commands about records: append, read, tail, and the two linearizable questions. */
import { EXIT } from '../exit-codes.ts';
import type { ArgumentSpec, CommandSpec, FieldSpec, OptionSpec } from '../spec.ts';
import { ENCODING_CHOICES, TIMESTAMP_FIELDS } from './options.ts';

export const STREAM_ARGUMENT: ArgumentSpec = {
  name: 'stream',
  help: 'Name of the stream: 1 to 255 bytes of UTF-8.',
};

const RECORD_FIELDS: readonly FieldSpec[] = [
  { name: 'type', help: '"record", "gap" or "progress"; the fields of a record follow' },
  { name: 'stream', help: 'its stream' },
  { name: 'seqNum', help: 'its number in the stream, from 0' },
  ...TIMESTAMP_FIELDS,
  { name: 'recordOffset', help: 'its number among the records with this timestamp' },
  { name: 'encoding', help: 'how key, headers and body are written here: utf8, base64 or hex' },
  { name: 'key', help: 'its key; null for none' },
  { name: 'headers', help: 'list of [name, value]' },
  { name: 'body', help: 'its body' },
  {
    name: 'gap',
    help:
      'of a gap: kind (trimmed, filtered, lost), the positions from and to, and seqNums: from and to in ' +
      'a stream that was trimmed, else null',
  },
  { name: 'watermark', help: 'of progress: everything up to here has been printed' },
  { name: 'tailSeqNum', help: 'of progress: next number of the stream; 0 where all are read' },
  { name: 'stalled', help: 'of progress: the replica cannot confirm that its view still moves' },
];

const ENCODING_OUT: OptionSpec = {
  name: 'encoding',
  placeholder: 'encoding',
  value: { kind: 'choice', choices: ENCODING_CHOICES },
  help:
    'How key, headers and body are printed. With utf8, text output carries the bytes unchanged, and ' +
    'JSON writes a record that is not UTF-8 as base64 and says so.',
  defaultText: 'utf8',
};

const SHOW_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'verbose',
    short: 'v',
    help: 'Print stream, number, time, key and headers before each body.',
  },
  ENCODING_OUT,
  { name: 'raw', help: 'Print bodies with nothing between them, instead of one a line.' },
  { name: 'progress', help: 'With --output json: also a line for each watermark.' },
];

const KEY_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'key',
    short: 'k',
    placeholder: 'key',
    value: { kind: 'text' },
    repeated: true,
    help: 'Only records with this key, written as --encoding says; several: with any of them.',
  },
  {
    name: 'key-prefix',
    placeholder: 'prefix',
    value: { kind: 'text' },
    repeated: true,
    help: 'Only records whose key begins like this.',
  },
];

const LIMIT: OptionSpec = {
  name: 'limit',
  short: 'n',
  placeholder: 'n',
  value: { kind: 'count', least: 1 },
  help: 'End after this many records.',
};

export const RECORD_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['append'],
    summary: 'Append records to a stream',
    about: [
      'Appends records, from the arguments, from files, or from standard input. Records of one batch ' +
        'are appended together: all or none, one after the other. It takes effect once, whatever ' +
        'fails on the way: what a region does not answer is asked of another, which knows the append.',
      'Arguments make one batch. From files and standard input each line is a record, and batches are ' +
        'filled up to --batch-records and --batch-bytes; a pause in the input sends what is there. ' +
        'With --format json a line is {"body": …, "key": …, "headers": [[name, value], …]}: what ' +
        '`read --output json` prints can be appended again.',
      'To append a file exactly once however often the command is killed and started again, give it ' +
        'a --writer and --resume: lines that the journal has already are then passed over.',
    ],
    args: [
      STREAM_ARGUMENT,
      {
        name: 'body',
        help: 'Bodies of records; without any, and without --file, standard input is read.',
        optional: true,
        repeated: true,
      },
    ],
    options: [
      {
        name: 'file',
        short: 'f',
        placeholder: 'path',
        value: { kind: 'path' },
        repeated: true,
        help: 'Read records from this file; - is standard input.',
      },
      {
        name: 'format',
        placeholder: 'form',
        value: { kind: 'choice', choices: ['lines', 'json', 'whole'] },
        help: 'What a file holds: a record a line, a JSON record a line, or one record.',
        defaultText: 'lines',
      },
      {
        name: 'encoding',
        placeholder: 'encoding',
        value: { kind: 'choice', choices: ENCODING_CHOICES },
        help: 'How bodies, keys and header values are written in the input.',
        defaultText: 'utf8, and with --format json what the record says',
      },
      {
        name: 'key',
        short: 'k',
        placeholder: 'key',
        value: { kind: 'text' },
        help: 'Key of every record (not with --format json).',
      },
      {
        name: 'header',
        placeholder: 'name=value',
        value: { kind: 'text' },
        repeated: true,
        help: 'Header of every record (not with --format json).',
      },
      {
        name: 'ack',
        placeholder: 'ack',
        value: { kind: 'choice', choices: ['quorum', 'ordered'] },
        help:
          'quorum: answer when it is on disk in two regions. ordered: when its place in the order is ' +
          'final too, so that its number is known.',
        defaultText: 'ordered',
      },
      {
        name: 'match-seq-num',
        placeholder: 'n',
        value: { kind: 'count' },
        help:
          'Append only if the next number of the stream is this. Further batches expect the numbers ' +
          'that follow, so another appender in between fails the rest.',
      },
      {
        name: 'fencing-token',
        placeholder: 'token',
        value: { kind: 'count' },
        help: 'Append only if this is the fencing token of the stream.',
        environment: 'MERIDIAN_FENCING_TOKEN, which `lease hold` sets',
      },
      {
        name: 'must-exist',
        help: 'Append only if the stream exists, instead of creating it.',
      },
      {
        name: 'min-timestamp',
        placeholder: 'micros',
        value: { kind: 'count' },
        help: 'The records get timestamps above this: what was seen elsewhere comes before them.',
      },
      {
        name: 'writer',
        short: 'w',
        placeholder: 'id',
        value: { kind: 'text' },
        help:
          'Append as this writer, 1 to 64 bytes: from its first append on, an older process with the ' +
          'same id is fenced.',
      },
      {
        name: 'writer-epoch',
        placeholder: 'n',
        value: { kind: 'count', least: 1, most: 4_294_967_295 },
        help: 'Generation of the writer.',
        defaultText: 'one above the highest that the journal knows',
      },
      {
        name: 'resume',
        help: 'With --writer and one input that is the same each time: go on after the last line that the journal has from this writer.',
      },
      {
        name: 'batch-records',
        placeholder: 'n',
        value: { kind: 'count', least: 1, most: 10_000 },
        help: 'Most records of a batch of the input.',
        defaultText: '500',
      },
      {
        name: 'batch-bytes',
        placeholder: 'size',
        value: { kind: 'bytes', least: 1, most: 1024 * 1024 },
        help: 'Most bytes of bodies, keys and headers in a batch of the input.',
        defaultText: '256KiB',
      },
      { name: 'atomic', help: 'The whole input is one batch: all or none.' },
    ],
    connects: true,
    json: {
      form: 'lines',
      fields: [
        { name: 'stream', help: 'the stream; a line is a batch' },
        { name: 'firstSeqNum', help: 'number of its first record; null with --ack quorum' },
        { name: 'recordCount', help: 'its records' },
        ...TIMESTAMP_FIELDS,
        { name: 'duplicate', help: 'true: it had taken effect before; this is where' },
        { name: 'region', help: 'the region that answered' },
        {
          name: 'forwardedVia',
          help: 'the region that forwarded for it; null when all was direct',
        },
      ],
    },
    exits: [
      { code: EXIT.conditionFailed, help: 'the next number is not --match-seq-num' },
      { code: EXIT.notFound, help: 'no such stream, with --must-exist' },
      { code: EXIT.fenced, help: '--fencing-token is not the stream’s, or the writer was fenced' },
      { code: EXIT.unknownOutcome, help: 'a batch may have been appended; those printed were' },
      { code: EXIT.timeout, help: 'the same, at the deadline' },
    ],
    examples: [
      { text: 'Two records, both or none', command: 'meridian append greetings hello world' },
      {
        text: 'A file, exactly once, however often this is started',
        command: 'meridian append lines --file access.log --writer import-7 --resume',
      },
      {
        text: 'Only if nobody has written yet, with key and header',
        command: 'meridian append orders --match-seq-num 0 --key o-1 --header kind=new "{}"',
      },
    ],
    load: () => import('../commands/append.ts'),
  },
  {
    path: ['read'],
    asks: true,
    summary: 'Print the records of a stream, or of the whole journal',
    about: [
      'Prints records in order, the same in every region: of one stream, or, without a stream, of all ' +
        'streams in their one order. Ends at what is there now; with --follow it stays. When a ' +
        'replica fails the read goes on at another, without loss, repetition or reordering.',
      'People get the bodies, one a line. Records that were asked for and do not come are told as gaps: ' +
        'on standard error, or as a line of type "gap" with JSON.',
    ],
    args: [{ ...STREAM_ARGUMENT, optional: true, help: 'The stream; without it, all of them.' }],
    options: [
      {
        name: 'from-seq',
        placeholder: 'n',
        value: { kind: 'count' },
        help: 'Start at the record with this number; needs a stream.',
      },
      {
        name: 'from-time',
        placeholder: 'time',
        value: { kind: 'time' },
        help: 'Start at the first record of this time or later.',
      },
      {
        name: 'from-position',
        placeholder: 'timestamp/offset',
        value: { kind: 'text' },
        help: 'Start after this position: timestamp and recordOffset of the last record seen.',
      },
      {
        name: 'last',
        placeholder: 'n',
        value: { kind: 'count' },
        help: 'Start this many records before the end; needs a stream.',
      },
      { name: 'from-end', help: 'Start after everything that is there; use it with --follow.' },
      {
        name: 'until',
        placeholder: 'time',
        value: { kind: 'time' },
        help: 'End before the first record of this time or later.',
      },
      {
        name: 'until-seq',
        placeholder: 'n',
        value: { kind: 'count', least: 1 },
        help: 'End before the record with this number; needs a stream.',
      },
      LIMIT,
      ...KEY_OPTIONS,
      { name: 'follow', help: 'Stay, and print what comes, until Ctrl-C.' },
      ...SHOW_OPTIONS,
    ],
    connects: true,
    json: { form: 'lines', fields: RECORD_FIELDS },
    exits: [
      { code: EXIT.notFound, help: 'no such stream, or the position is not of this journal' },
    ],
    examples: [
      { text: 'A stream from its beginning', command: 'meridian read greetings' },
      {
        text: 'Everything of the last five minutes, with its places',
        command: 'meridian read --from-time -5m --verbose',
      },
      {
        text: 'What happened to the orders of one customer',
        command: 'meridian read orders --key-prefix customer-7/',
      },
      {
        text: 'Copy a stream',
        command: 'meridian read orders -o json | meridian append copy --format json',
      },
    ],
    load: () => import('../commands/read.ts'),
  },
  {
    path: ['tail'],
    asks: true,
    summary: 'Print the newest records and what comes after them',
    about: [
      'The last records of a stream and then what comes, until Ctrl-C, which is exit code 0. Without a ' +
        'stream: what comes from now on in all of them. A standstill of the journal is told on ' +
        'standard error, never passed over in silence.',
    ],
    args: [{ ...STREAM_ARGUMENT, optional: true, help: 'The stream; without it, all of them.' }],
    options: [
      {
        name: 'last',
        short: 'n',
        placeholder: 'n',
        value: { kind: 'count' },
        help: 'How many records to begin with; needs a stream.',
        defaultText: '10',
      },
      { ...LIMIT, short: 'm' },
      ...KEY_OPTIONS,
      ...SHOW_OPTIONS,
    ],
    connects: true,
    json: { form: 'lines', fields: RECORD_FIELDS },
    exits: [{ code: EXIT.notFound, help: 'no such stream' }],
    examples: [
      { text: 'Follow a stream', command: 'meridian tail orders' },
      { text: 'The next record of any stream', command: 'meridian tail --limit 1 --verbose' },
    ],
    load: () => import('../commands/read.ts'),
  },
  {
    path: ['heartbeat'],
    asks: true,
    summary: 'Ask for a linearizable read point',
    about: [
      'A timestamp at or above every append that was completed, by anyone in any region, before the ' +
        'call. Who has applied the journal up to it reads the newest state. Costs one round trip to the ' +
        'nearest other region; stores nothing.',
    ],
    options: [
      {
        name: 'wait',
        help: 'Answer only when everything up to the read point can be read at the replica.',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'readPoint', help: 'no append completed before the call lies above it' },
        { name: 'time', help: 'the same as ISO 8601' },
        { name: 'watermark', help: 'everything up to here can be read at the replica' },
        { name: 'covered', help: 'the watermark has reached the read point' },
        { name: 'tookMs', help: 'how long the answer took, milliseconds' },
      ],
    },
    examples: [
      { text: 'The read point', command: 'meridian heartbeat' },
      {
        text: 'Does the order move, within a second?',
        command: 'meridian heartbeat --wait --deadline 1s',
      },
    ],
    load: () => import('../commands/heartbeat.ts'),
  },
];
