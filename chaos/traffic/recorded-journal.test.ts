import { expect, it } from 'vitest';
import type { Position, ReadItem } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { outcomeOf } from '../model/recorder.ts';
import { refuseGap } from './recorded-journal.ts';

it('a gap ends the run and is no outcome of an operation, which a checker might excuse', () => {
  const from: Position = { timestamp: 10, recordOffset: 2 };
  const gap: ReadItem = { type: 'gap', kind: 'lost', from, to: { ...from, timestamp: 12 } };
  let thrown: unknown = null;
  try {
    refuseGap(gap, 'orders');
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(Error);
  expect(thrown).not.toBeInstanceOf(MeridianError);
  expect(() => outcomeOf(thrown)).toThrow('stream orders: a gap (lost) between 10.2 and 12.2');
  refuseGap({ type: 'batches', batches: [] } as unknown as ReadItem, 'orders');
});
