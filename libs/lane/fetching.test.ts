/** Adopting from a source whose log does not have what is asked for (SPEC.md §4, C3). */
import { describe, expect, it } from 'vitest';
import type { Epoch, Index, Timestamp } from '../values/numbers.ts';
import { contextOf } from './context.test-kit.ts';
import type { Context } from './context.ts';
import { Lane } from './lane.ts';
import { wholeLog } from './lane-log.ts';
import type { Append, Control, Entry, Tail } from './types.ts';
import { handleFetchMismatch } from './writer.ts';

const at = (epoch: number, index: number): Tail => ({
  epoch: epoch as Epoch,
  index: index as Index,
});

function entry(epoch: number, index: number): Entry<null> {
  const timestamp = (8 * index) as Timestamp;
  return { lane: 0, ...at(epoch, index), timestamp, kind: 'batches', content: null, bytes: 0 };
}

/** Home of a lane with three entries of epoch 8, which asks replica 2 for what follows the third. */
function adopter(): { lane: Lane<null, Append>; context: Context<null, Append>; said: Control[] } {
  const said: Control[] = [];
  const context = contextOf(said);
  const log = wholeLog([entry(8, 1), entry(8, 2), entry(8, 3)]);
  const lane = new Lane<null, Append>(context, 0, 24 as Epoch, log, () => null);
  const after = at(8, 3);
  lane.role = { name: 'adopting', source: 2, target: at(17, 5), after, sentAt: 0 };
  return { lane, context, said };
}

describe('adopting a tail', () => {
  it('goes back to where the logs may agree, once for each answer however often it comes', () => {
    const { lane, context, said } = adopter();
    handleFetchMismatch(context, lane, 2, at(8, 2));
    handleFetchMismatch(context, lane, 2, at(8, 2));
    expect(said).toEqual([{ type: 'fetch', lane: 0, epoch: 24, after: at(8, 2) }]);
  });

  /**
   * Found by the simulation (seed 5176). The source's log began where the adopter's ended, with another
   * entry: it named that place, the adopter asked for what follows it, and so on without a pause, until a
   * checkpoint came; with every message that the network repeated there were twice as many.
   */
  it("C3: does not ask again at once where the source's log begins with another entry", () => {
    const { lane, context, said } = adopter();
    handleFetchMismatch(context, lane, 2, at(17, 3));
    expect(said).toEqual([]);
  });
});
