/** Commands about the instances of a database. */
import { EXIT } from '../exit-codes.ts';
import type { CommandSpec, FieldSpec, OptionSpec } from '../spec.ts';

const CROSSBAR: OptionSpec = {
  name: 'crossbar',
  placeholder: 'host:port',
  value: { kind: 'text' },
  repeated: true,
  required: true,
  help: 'A crossbar of the database. Give all of them: each is asked whether it can follow.',
};

const LIFE_FIELDS: readonly FieldSpec[] = [
  { name: 'number', help: 'its number in the order, for ever' },
  { name: 'name', help: 'its name' },
  { name: 'state', help: 'member or left' },
  { name: 'joinedAt', help: 'timestamp behind which it is a member; 0 for a founder' },
  { name: 'leftAt', help: 'timestamp behind which it is none; 0 while it is' },
];

const CHANGE_FIELDS: readonly FieldSpec[] = [
  ...LIFE_FIELDS,
  { name: 'changed', help: 'false: it was so already' },
];

const EXITS = [
  { code: EXIT.refused, help: 'the number or name is taken, or a crossbar could not follow' },
] as const;

const instances = () => import('../commands/instances.ts');

export const INSTANCE_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['instances', 'list'],
    asks: true,
    summary: 'List the instances of a database',
    about: [
      'The instances that make up the one order, and those that have left it, as a crossbar knows them, with ' +
        'how far each has come there and which holds the others up.',
    ],
    options: [CROSSBAR],
    connects: true,
    json: {
      form: 'lines',
      fields: [
        ...LIFE_FIELDS,
        { name: 'watermark', help: 'how far it has come at the crossbar; null when it has left' },
        { name: 'source', help: 'the region it is read from; null when it has left' },
        { name: 'stalling', help: 'the others wait for it' },
        { name: 'registry', help: 'its journal holds the changes; it cannot leave' },
      ],
    },
    examples: [
      { text: 'Who they are', command: 'meridian instances list --crossbar 10.0.1.20:7600' },
      {
        text: 'For programs',
        command: 'meridian instances list --crossbar 10.0.1.20:7600 -o json',
      },
    ],
    load: instances,
  },
  {
    path: ['instances', 'join'],
    summary: 'Let an instance join a database',
    about: [
      'From a place in the order on, its entries are part of it. The journal of the registry (the founder with the lowest ' +
        'number: --instance and --replicas name it) records the change, every crossbar meets it at the same place, and nothing is ' +
        'stopped. What the instance held before never becomes part of the order.',
      'The instance has to be running: from the change on everybody waits for it. Its number and name must never have been ' +
        'used in the database. Doing it again changes nothing.',
    ],
    args: [{ name: 'name', help: 'Name of the instance that joins.' }],
    options: [
      {
        name: 'number',
        placeholder: 'n',
        value: { kind: 'count', least: 1, most: 65_535 },
        required: true,
        help: 'Its number: breaks ties of equal timestamps.',
      },
      {
        name: 'joining',
        placeholder: 'region=host:port,…',
        value: { kind: 'text' },
        required: true,
        help: 'The client ports of its replicas, as crossbars reach them.',
      },
      CROSSBAR,
    ],
    connects: true,
    json: { form: 'document', fields: CHANGE_FIELDS },
    exits: EXITS,
    examples: [
      {
        text: 'A third instance',
        command:
          'meridian instances join orders-3 --number 3 --joining eu=10.0.3.1:7401,us=10.0.3.2:7401,ap=10.0.3.3:7401 ' +
          '--crossbar 10.0.1.20:7600 --crossbar 10.0.2.20:7600',
      },
      {
        text: 'From a context that names the registry',
        command:
          'meridian instances join orders-3 --context orders --number 3 --joining eu=10.0.3.1:7401 --crossbar 10.0.1.20:7600',
      },
    ],
    load: instances,
  },
  {
    path: ['instances', 'leave'],
    summary: 'Let an instance leave a database',
    about: [
      'Every replica of it and every crossbar has to run a version that knows this, and is asked before anything is changed. First ' +
        'the instance is retired: some seconds later, in log time, it takes no more appends (they fail as REFUSED, without ' +
        'effect). Then the change is recorded behind that, so everything it has ever acknowledged is part of the order. Nothing ' +
        'is stopped; writers go to the other instances. Doing it again changes nothing, and finishes what was interrupted.',
      'Its replicas are to keep running until every consumer has passed the change: who reads older parts of the order needs them. ' +
        'The registry cannot leave. The number and the name are never used again.',
    ],
    args: [{ name: 'name', help: 'Name of the instance that leaves.' }],
    options: [
      {
        name: 'leaving',
        placeholder: 'region=host:port,…',
        value: { kind: 'text' },
        required: true,
        help: 'The client ports of its replicas.',
      },
      {
        name: 'without',
        placeholder: 'region',
        value: { kind: 'text' },
        repeated: true,
        help:
          'Do not ask the replica there, nor wait until it has heard of it, because it is gone for good. One that still runs, ' +
          'cut off, might answer QUORUM appends that are not in the order.',
      },
      CROSSBAR,
    ],
    connects: true,
    json: { form: 'document', fields: CHANGE_FIELDS },
    exits: [
      {
        code: EXIT.refused,
        help: 'the instance is the registry, or a replica of it or a crossbar is too old',
      },
      { code: EXIT.notFound, help: 'no instance of that name was ever a member' },
      {
        code: EXIT.timeout,
        help: 'a replica did not answer or hear of it in time; nothing is lost, do it again',
      },
    ],
    examples: [
      {
        text: 'The third instance',
        command:
          'meridian instances leave orders-3 --leaving eu=10.0.3.1:7401,us=10.0.3.2:7401,ap=10.0.3.3:7401 --crossbar 10.0.1.20:7600',
      },
      {
        text: 'One of its regions is gone for good',
        command:
          'meridian instances leave orders-3 --leaving eu=10.0.3.1:7401,us=10.0.3.2:7401 --without us --crossbar 10.0.1.20:7600',
      },
    ],
    load: instances,
  },
  {
    path: ['instances', 'renew'],
    summary: 'Say again which instances there have been, so that what is old can go',
    about: [
      "The changes stand in the registry's stream _meridian.members, which crossbars read when they start. This appends one record " +
        'that says all of them again, and trims the stream up to it. Needed where the registry gives up what is old: before its ' +
        'retention reaches the last record of the stream, and for trims of other streams to free what lies behind the first one.',
    ],
    options: [CROSSBAR],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'renewedAt', help: 'timestamp of the new record' },
        { name: 'records', help: 'records of the stream that are left' },
      ],
    },
    exits: EXITS,
    examples: [
      { text: 'Once', command: 'meridian instances renew --crossbar 10.0.1.20:7600' },
      {
        text: 'From a timer, oftener than the retention of the registry',
        command: 'meridian instances renew --context registry --crossbar 10.0.1.20:7600 -q',
      },
    ],
    load: instances,
  },
];
