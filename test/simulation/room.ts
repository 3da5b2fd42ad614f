/**
 * How much room a replica's disk has (S3), and since when its core must know: what was written in the step in which it was
 * told may have come first.
 */
import type { Space, Write } from '../../libs/lane/types.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { Content } from './operations.ts';
import { check } from './violation.ts';

export class Room {
  space: Space = 'ample';
  /** Before the last step, and since. */
  private before: Space = 'ample';
  private known: Space = 'ample';

  /** A new life: until it is told, there is room. */
  started(): void {
    this.known = 'ample';
  }

  stepped(): void {
    this.before = this.known;
    this.known = this.space;
  }

  staged(replica: ReplicaId, write: Write<Content>): void {
    const grows = write.type === 'entry' && write.entry.kind === 'batches';
    const isFull = this.before === 'none' && this.known === 'none';
    check(!grows || !isFull, 'written-without-room', () => {
      return `r${replica} writes an entry, and its disk is full`;
    });
  }
}
