/** Commands about streams and writers. */
import { EXIT } from '../exit-codes.ts';
import type { CommandSpec } from '../spec.ts';
import { TIMESTAMP_FIELDS } from './options.ts';
import { STREAM_ARGUMENT } from './records.ts';

export const STREAM_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['check-tail'],
    summary: 'Ask for the number that the next record of a stream gets',
    about: [
      'The end of a stream, linearizable: it covers every append completed before the call, by anyone ' +
        'in any region. Costs one round trip between regions.',
    ],
    args: [STREAM_ARGUMENT],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'stream', help: 'the stream' },
        { name: 'nextSeqNum', help: 'the number that its next record gets' },
        ...TIMESTAMP_FIELDS,
        { name: 'readPoint', help: 'the read point that makes this linearizable' },
      ],
    },
    exits: [{ code: EXIT.notFound, help: 'no such stream' }],
    examples: [
      { text: 'The end of a stream', command: 'meridian check-tail orders' },
      {
        text: 'Append only if nothing came in between',
        command: 'meridian append orders --match-seq-num $(meridian check-tail orders -q) "{}"',
      },
    ],
    load: () => import('../commands/check-tail.ts'),
  },
];
