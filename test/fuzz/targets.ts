/** Every decoder that bytes from outside this process, or from a disk, can reach. */
import { fileTargets } from './file-targets.ts';
import { FRAME_TARGETS } from './frame-targets.ts';
import { outsideTargets } from './outside-targets.ts';
import { PACKET_TARGETS } from './packet-targets.ts';
import type { Target } from './target.ts';

export async function allTargets(): Promise<readonly Target[]> {
  return [...FRAME_TARGETS, ...PACKET_TARGETS, ...(await fileTargets()), ...outsideTargets()];
}
