/** Commands about the lease of a stream. */
import { EXIT } from '../exit-codes.ts';
import type { CommandSpec, FieldSpec, OptionSpec } from '../spec.ts';
import { STREAM_ARGUMENT } from './records.ts';

const DAY_MS = 86_400_000;

const HOLDER: OptionSpec = {
  name: 'holder',
  placeholder: 'name',
  value: { kind: 'text' },
  help: 'Who asks: 1 to 255 bytes.',
  defaultText: 'name of the machine and number of the process',
};
const GIVEN_HOLDER: OptionSpec = {
  name: 'holder',
  placeholder: 'name',
  value: { kind: 'text' },
  required: true,
  help: 'Who holds it.',
};
const TOKEN: OptionSpec = {
  name: 'token',
  required: true,
  placeholder: 'token',
  value: { kind: 'count' },
  help: 'The fencing token that the lease was granted with.',
};
const TTL: OptionSpec = {
  name: 'ttl',
  placeholder: 'duration',
  value: { kind: 'duration', leastMs: 1, mostMs: DAY_MS },
  help: 'How long it lasts without renewal.',
  defaultText: '30s',
};
const WAIT: OptionSpec = {
  name: 'wait',
  placeholder: 'duration',
  value: { kind: 'duration' },
  help: 'How long to wait while somebody else holds it.',
};

const FIELDS: readonly FieldSpec[] = [
  { name: 'stream', help: 'the stream' },
  { name: 'holder', help: 'who holds it' },
  { name: 'token', help: 'the fencing token of this grant: append with it' },
  { name: 'expiresAt', help: 'journal time, microseconds, from which on another can have it' },
  { name: 'expires', help: 'the same as ISO 8601' },
];

const NO_STREAM = { code: EXIT.notFound, help: 'no such stream' } as const;
const HELD = { code: EXIT.fenced, help: 'somebody else holds it' } as const;
const LOST = { code: EXIT.fenced, help: 'it was lost: a higher token was minted' } as const;

const lease = () => import('../commands/lease.ts');

export const LEASE_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['lease', 'acquire'],
    summary: 'Become the holder of a stream',
    about: [
      'Until the lease expires or is released nobody else gets it. Every grant comes with a higher ' +
        'fencing token; appends with it are refused once somebody else was granted the lease. Expiry ' +
        'is judged in the journal’s own time, the same everywhere.',
    ],
    args: [STREAM_ARGUMENT],
    options: [HOLDER, TTL, { ...WAIT, defaultText: '0s' }],
    connects: true,
    json: { form: 'document', fields: FIELDS },
    exits: [HELD, NO_STREAM],
    examples: [
      { text: 'For half a minute', command: 'meridian lease acquire ledger --holder node-1' },
      {
        text: 'The token alone',
        command: 'token=$(meridian lease acquire ledger --holder node-1 --ttl 5m -q)',
      },
    ],
    load: lease,
  },
  {
    path: ['lease', 'renew'],
    summary: 'Prolong a lease',
    about: ['To --ttl from now; also one that has expired, as long as nobody else has got it.'],
    args: [STREAM_ARGUMENT],
    options: [GIVEN_HOLDER, TOKEN, TTL],
    connects: true,
    json: { form: 'document', fields: FIELDS },
    exits: [LOST, NO_STREAM],
    examples: [
      {
        text: 'Another half minute',
        command: 'meridian lease renew ledger --holder node-1 --token 7',
      },
      {
        text: 'An hour',
        command: 'meridian lease renew ledger --holder node-1 --token 7 --ttl 1h',
      },
    ],
    load: lease,
  },
  {
    path: ['lease', 'release'],
    summary: 'Give a lease back',
    about: ['Somebody else can have it at once. The token stays the current one until then.'],
    args: [STREAM_ARGUMENT],
    options: [GIVEN_HOLDER, TOKEN],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'the stream' },
        { name: 'released', help: 'false: it was lost already' },
      ],
    },
    exits: [NO_STREAM],
    examples: [
      { text: 'Give back', command: 'meridian lease release ledger --holder node-1 --token 7' },
      {
        text: 'Did it still hold?',
        command: 'meridian lease release ledger --holder node-1 --token 7 -o json',
      },
    ],
    load: lease,
  },
  {
    path: ['lease', 'inspect'],
    asks: true,
    summary: 'Tell who holds a stream',
    about: ['Linearizable. The fencing token outlives the lease.'],
    args: [STREAM_ARGUMENT],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'the stream' },
        { name: 'held', help: 'somebody holds it' },
        { name: 'fencingToken', help: 'its current fencing token' },
        { name: 'lease', help: 'holder, token, expiresAt, expires; null when nobody holds it' },
      ],
    },
    exits: [NO_STREAM],
    examples: [
      { text: 'Who', command: 'meridian lease inspect ledger' },
      { text: 'For programs', command: 'meridian lease inspect ledger -o json' },
    ],
    load: lease,
  },
  {
    path: ['lease', 'hold'],
    summary: 'Keep a lease while a command runs',
    about: [
      'Waits for the lease, runs the command, renews the lease meanwhile, and releases it at the end. ' +
        'The command finds the journal and the token in its environment (MERIDIAN_FENCING_TOKEN), where ' +
        '`append` looks for it. When the lease is lost, or cannot be renewed in time, the command is ' +
        'ended before anybody else can have it; its exit code is otherwise passed on.',
      'Without a command: holds it until Ctrl-C.',
    ],
    args: [STREAM_ARGUMENT],
    rest: { name: 'command…', help: 'What to run while the lease is held.' },
    options: [
      HOLDER,
      { ...TTL, value: { kind: 'duration', leastMs: 500, mostMs: DAY_MS }, defaultText: '10s' },
      { ...WAIT, defaultText: 'for ever' },
    ],
    connects: true,
    json: { form: 'lines', fields: FIELDS },
    exits: [HELD, LOST, NO_STREAM],
    examples: [
      {
        text: 'One machine of many runs it',
        command: 'meridian lease hold nightly -- ./nightly-job.sh',
      },
      {
        text: 'Write as the only one',
        command: 'producer | meridian lease hold ledger -- meridian append ledger',
      },
    ],
    load: () => import('../commands/lease-hold.ts'),
  },
];
