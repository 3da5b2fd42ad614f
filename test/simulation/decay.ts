/** Where on a disk something decays: never where the others would not have it, should one of them be lost. */
import { at } from '../../libs/values/assert.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Prng } from './prng.ts';
import type { Replica } from './replica.ts';
import type { Decay } from './rot.ts';

/** Entries at most, of one lane. */
const BLOCKS = 3;

export function decaySomewhere(
  replica: Replica,
  replicas: readonly Replica[],
  prng: Prng,
  decay: Decay,
): void {
  if (replica.disk.lost) return;
  const { entries } = at(replica.disk.lanes, prng.pick(REPLICAS));
  for (let i = 0; i < BLOCKS && entries.length > 0; i++) {
    const entry = prng.pick(entries);
    const { lane, index, epoch } = entry;
    const others = replicas.filter(({ disk }) => {
      const copy = disk.lanes[lane]?.entries[index - 1];
      if (disk === replica.disk || copy?.epoch !== epoch) return false;
      return !disk.atRisk && !disk.rot.has(copy);
    });
    if (others.length < 2 || index <= replica.disk.baseOf(lane)) continue;
    replica.disk.rot.add(entry, decay);
  }
}
