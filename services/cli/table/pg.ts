/** Commands for the databases beside a journal. */
import { EXIT } from '../exit-codes.ts';
import type { CommandSpec, OptionSpec } from '../spec.ts';

const CLUSTER: OptionSpec = {
  name: 'cluster',
  placeholder: 'name',
  value: { kind: 'text' },
  help: 'Name of the cluster; a sidecar of another one refuses the call.',
  environment: 'MERIDIAN_CLUSTER',
};
const SIDECARS: OptionSpec = {
  name: 'sidecars',
  placeholder: 'region=host:port,…',
  value: { kind: 'text' },
  help: 'Where the sidecars of the databases listen.',
  environment: 'MERIDIAN_SIDECARS',
};
const REGION: OptionSpec = {
  name: 'region',
  placeholder: 'name',
  value: { kind: 'text' },
  required: true,
  help: 'The region whose database is meant.',
};
const WAIT: OptionSpec = {
  name: 'wait',
  placeholder: 'duration',
  value: { kind: 'duration', leastMs: 100, mostMs: 3_600_000 },
  help: 'How long to try.',
  defaultText: '60s',
};

export const PG_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['pg', 'status'],
    asks: true,
    summary: 'Show which database is the primary and how far the others are',
    about: [
      'Asks every sidecar. lag is how far what is applied is behind the clock. A primary that is fenced ' +
        'has been superseded: its COMMITs wait for ever, and `pg rejoin` makes a replica of it.',
    ],
    options: [CLUSTER, SIDECARS],
    connects: false,
    json: {
      form: 'document',
      fields: [
        {
          name: 'sidecars',
          help:
            'list of region, address, role (primary, replica; null where it has one role only or does ' +
            'not answer), state, error (null for none), synchronous, confirmedLsn, fencingToken, ' +
            'watermark, commitLsn, lagMs (null where they mean nothing)',
        },
      ],
    },
    exits: [{ code: EXIT.unavailable, help: 'no sidecar answers' }],
    examples: [
      {
        text: 'How they stand',
        command: 'meridian pg status --cluster demo --sidecars eu=10.0.1.10:7700,us=10.0.2.10:7700',
      },
      {
        text: 'The primary',
        command: `meridian pg status --cluster demo -o json | jq -r '.sidecars[] | select(.role == "primary").region'`,
      },
    ],
    load: () => import('../commands/pg.ts'),
  },
  {
    path: ['pg', 'promote'],
    summary: 'Make the replica of a region the primary',
    about: [
      'A primary that answers first steps down: no new writes, everything committed is shipped. One that ' +
        'does not loses its lease a few seconds after its last sign of life, and cannot acknowledge a ' +
        'COMMIT from then on, alive or not. Then everything acknowledged is applied, sequences are moved ' +
        'beyond what can have been handed out, and the stream is handed over to this database. No ' +
        'acknowledged transaction is lost. Point programs at it when the command is done.',
      'Needs a sidecar with both roles. If it fails, the region is a replica as before, or becomes the ' +
        'primary a moment later: ask `pg status`, and repeat it.',
    ],
    options: [
      CLUSTER,
      SIDECARS,
      REGION,
      WAIT,
      {
        name: 'no-step-down',
        help: 'Do not ask the primary: wait until its lease is over. For one that hangs.',
      },
    ],
    connects: false,
    json: {
      form: 'document',
      fields: [
        { name: 'region', help: 'the new primary' },
        { name: 'steppedDown', help: 'region of the one before if it stepped down; else null' },
        { name: 'leaseWaitMs', help: 'how long its lease was waited for' },
        { name: 'takeoverMs', help: 'from then until COMMIT worked' },
        { name: 'sequences', help: 'sequences that were moved' },
      ],
    },
    exits: [
      { code: EXIT.refused, help: 'it is the primary already, or its sidecar has one role only' },
      { code: EXIT.timeout, help: 'not within --wait' },
      { code: EXIT.unavailable, help: 'the sidecar does not answer, or does not apply' },
    ],
    examples: [
      {
        text: 'Change over',
        command: 'meridian pg promote --cluster demo --region us',
      },
      {
        text: 'The primary hangs',
        command: 'meridian pg promote --cluster demo --region us --no-step-down --wait 2m',
      },
    ],
    load: () => import('../commands/pg.ts'),
  },
  {
    path: ['pg', 'rejoin'],
    summary: 'Make a replica of a primary that was superseded',
    about: [
      'What it has committed and never shipped was never acknowledged to anybody. Without any it goes on ' +
        'where the stream was handed over. With some it is emptied and applied from the beginning of the ' +
        'stream; its tables must then be as they were at that beginning, as for any new replica.',
      'Ends every session of that database.',
    ],
    options: [CLUSTER, SIDECARS, REGION, WAIT],
    connects: false,
    json: {
      form: 'document',
      fields: [
        { name: 'region', help: 'the new replica' },
        {
          name: 'discarded',
          help: 'transactions that were committed there and nowhere else; null: cannot be told',
        },
        { name: 'rebuilt', help: 'it was emptied' },
      ],
    },
    exits: [
      { code: EXIT.refused, help: 'it is the primary, or a replica already' },
      { code: EXIT.timeout, help: 'not within --wait' },
      { code: EXIT.unavailable, help: 'the sidecar does not answer' },
    ],
    examples: [
      { text: 'After a failover', command: 'meridian pg rejoin --cluster demo --region eu' },
      {
        text: 'How many transactions were lost with it',
        command: 'meridian pg rejoin --cluster demo --region eu -o json | jq .discarded',
      },
    ],
    load: () => import('../commands/pg.ts'),
  },
];
