import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import {
  ReadGap_Kind,
  ReadGapSchema,
  ReadResponseSchema,
} from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { ReadItems } from './read-items.ts';

const SHAPE = {
  encoding: 'utf8',
  fromSeqNum: 0,
  after: null,
  untilSeqNum: Infinity,
  limit: Infinity,
  progress: false,
  now: () => 0,
} as const;

function said(gap: MessageInitShape<typeof ReadGapSchema>): unknown {
  const value = create(ReadGapSchema, gap);
  const response = create(ReadResponseSchema, { message: { case: 'gap', value } });
  return new ReadItems(SHAPE).from(response)[0]?.json;
}

it('says of a trimmed stream which numbers do not come, of other gaps only between which places', () => {
  const to = { timestamp: 24n, recordOffset: 0 };
  expect(said({ kind: ReadGap_Kind.TRIMMED, to, fromSeqNum: 1n, toSeqNum: 3n })).toMatchObject({
    gap: { kind: 'trimmed', to: { timestamp: 24 }, seqNums: { from: 1, to: 3 } },
  });
  expect(said({ kind: ReadGap_Kind.LOST, to })).toMatchObject({
    gap: { kind: 'lost', seqNums: null },
  });
});
