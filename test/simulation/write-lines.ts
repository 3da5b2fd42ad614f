/** What a replica stages for its disk, as lines of the trace. */
import type { Write } from '../../libs/lane/types.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { Content } from './operations.ts';
import type { Trace } from './trace.ts';

export function noteWrite(trace: Trace, replica: ReplicaId, write: Write<Content>): void {
  switch (write.type) {
    case 'entry': {
      const { lane, index, epoch, timestamp } = write.entry;
      trace.note('entry', replica, lane, index, epoch, timestamp);
      break;
    }
    case 'truncate':
      trace.note('truncate', replica, write.lane, write.from);
      break;
    case 'promise':
      trace.note('promise', replica, write.lane, write.epoch);
      break;
    case 'reserve':
      trace.note('reserve', replica, write.timestamp);
      break;
    case 'incarnation':
      trace.note('incarnation', replica, write.replica, write.incarnation);
      break;
    case 'life':
      trace.note('life', replica, write.replica, write.life, write.clock);
      break;
    case 'named':
      trace.note('named', replica, write.replica, write.life);
      break;
    case 'recovered':
      trace.note('recovered', replica);
      break;
  }
}
