/** Commands about streams and writers. */
import { EXIT } from '../exit-codes.ts';
import type { CommandSpec, FieldSpec, OptionSpec } from '../spec.ts';
import { TIMESTAMP_FIELDS } from './options.ts';
import { STREAM_ARGUMENT } from './records.ts';

const NO_STREAM = { code: EXIT.notFound, help: 'no such stream' } as const;

const STREAM_FIELDS: readonly FieldSpec[] = [
  { name: 'stream', help: 'its name' },
  { name: 'nextSeqNum', help: 'the number that its next record gets' },
  { name: 'firstSeqNum', help: 'number of the first record that is not trimmed' },
  ...TIMESTAMP_FIELDS,
  { name: 'createdAt', help: 'timestamp of its creation' },
  { name: 'fencingToken', help: 'its current fencing token; 0: none was ever set' },
  { name: 'fencing', help: 'none or required' },
  { name: 'lease', help: 'holder, token, expiresAt, expires; null when nobody holds it' },
];

const FENCING: OptionSpec = {
  name: 'fencing',
  placeholder: 'mode',
  value: { kind: 'choice', choices: ['none', 'required'] },
  help: 'required: appends and trims without the current fencing token are refused.',
};

const streams = () => import('../commands/streams.ts');

export const STREAM_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['streams', 'list'],
    asks: true,
    summary: 'List the streams',
    about: ['The streams that exist, by name, with where each stands. Linearizable, page by page.'],
    options: [
      {
        name: 'prefix',
        placeholder: 'text',
        value: { kind: 'text' },
        help: 'Only names that begin with this.',
      },
      {
        name: 'after',
        placeholder: 'name',
        value: { kind: 'text' },
        help: 'Only names behind this one.',
      },
      {
        name: 'limit',
        short: 'n',
        placeholder: 'n',
        value: { kind: 'count', least: 1 },
        help: 'End after this many.',
      },
    ],
    connects: true,
    json: { form: 'lines', fields: STREAM_FIELDS },
    examples: [
      { text: 'All of them', command: 'meridian streams list' },
      { text: 'Names alone, for a loop', command: 'meridian streams list --prefix orders/ -q' },
    ],
    load: streams,
  },
  {
    path: ['streams', 'create'],
    summary: 'Create a stream',
    about: [
      'Creates a stream. Appending creates streams too; this is for readers that come first, and for ' +
        'streams with a configuration. One that exists is left as it is.',
    ],
    args: [STREAM_ARGUMENT],
    options: [{ ...FENCING, defaultText: 'none' }],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'its name' },
        { name: 'created', help: 'false: it existed' },
      ],
    },
    examples: [
      { text: 'A stream', command: 'meridian streams create orders' },
      {
        text: 'Only the holder of its lease may write',
        command: 'meridian streams create ledger --fencing required',
      },
    ],
    load: streams,
  },
  {
    path: ['streams', 'describe'],
    asks: true,
    summary: 'Tell where a stream stands',
    about: ['Its numbers, configuration, fencing token and lease. Linearizable.'],
    args: [STREAM_ARGUMENT],
    connects: true,
    json: { form: 'document', fields: STREAM_FIELDS },
    exits: [NO_STREAM],
    examples: [
      { text: 'A stream', command: 'meridian streams describe orders' },
      { text: 'For programs', command: 'meridian streams describe orders -o json' },
    ],
    load: streams,
  },
  {
    path: ['streams', 'configure'],
    summary: 'Change the configuration of a stream',
    about: ['Changes what is given; the rest stays as it is.'],
    args: [STREAM_ARGUMENT],
    options: [FENCING],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'its name' },
        { name: 'fencing', help: 'none or required, as it is now' },
      ],
    },
    exits: [NO_STREAM],
    examples: [
      {
        text: 'From now on only with the token',
        command: 'meridian streams configure ledger --fencing required',
      },
      {
        text: 'Anybody again',
        command: 'meridian streams configure ledger --fencing none',
      },
    ],
    load: streams,
  },
  {
    path: ['streams', 'delete'],
    summary: 'Delete a stream and its records',
    about: [
      'Deletes a stream, for ever. Readers hear that it is gone. A stream of the same name that is ' +
        'created later goes on with its numbers and fencing tokens, so nobody mistakes it for the old one.',
    ],
    args: [STREAM_ARGUMENT],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'its name' },
        { name: 'deleted', help: 'false: there was none' },
      ],
    },
    exits: [{ code: EXIT.notFound, help: 'there was no such stream' }],
    examples: [
      { text: 'Delete', command: 'meridian streams delete orders' },
      {
        text: 'Every stream of a test',
        command:
          'for s in $(meridian streams list --prefix test/ -q); do meridian streams delete "$s"; done',
      },
    ],
    load: streams,
  },
  {
    path: ['check-tail'],
    asks: true,
    summary: 'Ask for the number that the next record of a stream gets',
    about: [
      'The end of a stream, linearizable: it covers every append completed before the call, by anyone ' +
        'in any region. Costs one round trip between regions.',
      'With --local: as one replica sees it, at once and without asking the others, so completed ' +
        'appends may be missing.',
    ],
    args: [STREAM_ARGUMENT],
    options: [
      {
        name: 'local',
        help: "The replica's own view: of --region, else of the nearest that answers.",
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'the stream' },
        { name: 'nextSeqNum', help: 'the number that its next record gets' },
        ...TIMESTAMP_FIELDS,
        { name: 'readPoint', help: 'what makes this linearizable; null with --local' },
        { name: 'local', help: 'with --local: firstSeqNum, watermark, stalled; else null' },
      ],
    },
    exits: [NO_STREAM],
    examples: [
      { text: 'The end of a stream', command: 'meridian check-tail orders' },
      {
        text: 'Append only if nothing came in between',
        command: 'meridian append orders --match-seq-num $(meridian check-tail orders -q) "{}"',
      },
    ],
    load: () => import('../commands/check-tail.ts'),
  },
  {
    path: ['fence'],
    summary: 'Set a higher fencing token of a stream',
    about: [
      'Whoever appends with a lower token is refused from then on, and the lease that came with it ends. ' +
        'On a stream with fencing required, also whoever appends without one.',
    ],
    args: [STREAM_ARGUMENT],
    options: [
      {
        name: 'token',
        placeholder: 'token',
        value: { kind: 'count' },
        help: 'The token to set: the current one or above.',
        defaultText: 'one above the current one',
      },
      {
        name: 'expected',
        placeholder: 'token',
        value: { kind: 'count' },
        help: 'Only if this is the current token.',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'the stream' },
        { name: 'token', help: 'its fencing token now' },
      ],
    },
    exits: [
      NO_STREAM,
      { code: EXIT.fenced, help: '--token is below the current one' },
      { code: EXIT.conditionFailed, help: '--expected is not the current one' },
    ],
    examples: [
      { text: 'Shut out whoever writes now', command: 'meridian fence orders' },
      {
        text: 'Append with the new token',
        command: 'meridian append orders --fencing-token $(meridian fence orders -q) "{}"',
      },
    ],
    load: () => import('../commands/fence.ts'),
  },
  {
    path: ['trim'],
    summary: 'Give up the oldest records of a stream',
    about: [
      'For ever. Readers that ask for them are told of a gap. Sequence numbers stay as they are.',
    ],
    args: [STREAM_ARGUMENT],
    options: [
      {
        name: 'before',
        placeholder: 'n',
        value: { kind: 'count' },
        help: 'Give up the records below this number.',
      },
      {
        name: 'keep',
        placeholder: 'n',
        value: { kind: 'count' },
        help: 'Give up all but this many.',
      },
      {
        name: 'fencing-token',
        placeholder: 'token',
        value: { kind: 'count' },
        help: 'Only if this is the fencing token of the stream.',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'the stream' },
        { name: 'firstSeqNum', help: 'number of the first record that is left' },
      ],
    },
    exits: [
      { code: EXIT.notFound, help: 'no such stream, or --before is behind its end' },
      { code: EXIT.fenced, help: 'another fencing token' },
    ],
    examples: [
      { text: 'All below 1000', command: 'meridian trim orders --before 1000' },
      { text: 'All but the newest million', command: 'meridian trim orders --keep 1000000' },
    ],
    load: () => import('../commands/trim.ts'),
  },
  {
    path: ['resolve'],
    asks: true,
    summary: "Ask what became of a writer's append",
    about: [
      'After a failure with an unknown outcome: appended, failed (decided without effect), never, ' +
        'pending (it may still arrive) or forgotten. Linearizable. Without --seq: where the writer stands.',
    ],
    args: [{ name: 'writer', help: 'Id of the writer.' }],
    options: [
      {
        name: 'seq',
        placeholder: 'n',
        value: { kind: 'count', least: 1 },
        help: "The append's number in the writer's sequence.",
      },
      {
        name: 'epoch',
        placeholder: 'n',
        value: { kind: 'count', least: 1, most: 4_294_967_295 },
        help: 'Generation of the writer when it made the append.',
        defaultText: 'the newest that the journal knows',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'writerId', help: 'the writer' },
        { name: 'epoch', help: 'its epoch' },
        { name: 'known, lastSeq, timestamp, time', help: 'without --seq: where the writer stands' },
        { name: 'seq', help: 'with --seq: the append' },
        { name: 'state', help: 'with --seq: appended, failed, never, pending, forgotten' },
        {
          name: 'timestamp, time, firstSeqNum, error, forgottenBefore',
          help: 'with --seq: what belongs to the state',
        },
      ],
    },
    exits: [
      { code: EXIT.notFound, help: 'without --seq: the journal knows no such writer' },
      { code: EXIT.no, help: 'failed or never: it has no effect' },
      { code: EXIT.unknownOutcome, help: 'pending or forgotten' },
    ],
    examples: [
      { text: 'Where a writer stands', command: 'meridian resolve import-7' },
      { text: 'One append', command: 'meridian resolve import-7 --seq 500' },
    ],
    load: () => import('../commands/resolve.ts'),
  },
];
