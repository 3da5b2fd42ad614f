/** Instances with a bug planted between a crossbar and its journals: what the crossbar then believes is wrong. */
import type { Timestamp } from '../../../libs/values/numbers.ts';
import type { FollowHandlers, Instance } from '../../../services/crossbar/instance.ts';
import type { SystemBug } from './system-bugs.ts';
import type { VirtualTime } from './virtual-time.ts';

export function spoiled(
  instances: readonly Instance[],
  bug: SystemBug,
  time: VirtualTime,
): readonly Instance[] {
  const reached = { highest: 0 };
  return instances.map((instance, i) => {
    const others = i > 0;
    switch (bug) {
      case 'merge-maximum':
        return { ...instance, follow: followFarthest(instance, reached) };
      case 'heartbeat-one-instance':
        return { ...instance, heartbeat: others ? never : () => instance.heartbeat() };
      case 'crossbar-heartbeat-reused':
        return { ...instance, heartbeat: reusing(instance, time) };
      case 'heartbeat-watermark':
        return { ...instance, heartbeat: () => instance.watermark() };
      case 'failover-skips':
        return { ...instance, follow: skipping(instance) };
      case 'failover-repeats':
        return { ...instance, follow: repeating(instance) };
      default:
        return instance;
    }
  });
}

/** The same of one that joins: it is read from a while after its join. */
export function spoiledJoiner(instance: Instance, bug: SystemBug): Instance {
  return bug === 'joiner-late' ? { ...instance, follow: late(instance) } : instance;
}

function late(instance: Instance): Instance['follow'] {
  return (after, keys, handlers) => {
    const later = { ...after, timestamp: after.timestamp + 500_000 };
    return instance.follow(later, keys, passing(handlers));
  };
}

const never = (): Promise<Timestamp> => Promise.resolve(0 as Timestamp);

/** Each instance counts as closed as far as the farthest of them. */
function followFarthest(instance: Instance, reached: { highest: number }): Instance['follow'] {
  return (after, keys, handlers) =>
    instance.follow(after, keys, {
      ...passing(handlers),
      progress: (watermark) => {
        reached.highest = Math.max(reached.highest, watermark);
        handlers.progress(reached.highest);
      },
    });
}

/** The read point of the last second is as good as a new one. */
function reusing(instance: Instance, time: VirtualTime): Instance['heartbeat'] {
  const last = { at: -Infinity, point: null as Promise<Timestamp> | null };
  return () => {
    if (last.point !== null && time.now - last.at < 1_000_000) return last.point;
    last.at = time.now;
    last.point = instance.heartbeat();
    return last.point;
  };
}

/** A reading that is begun again leaves out the entry that comes next. */
function skipping(instance: Instance): Instance['follow'] {
  const begun = { times: 0 };
  return (after, keys, handlers) => {
    const again = begun.times++ > 0;
    const to = again ? { ...after, timestamp: after.timestamp + 50_000 } : after;
    return instance.follow(to, keys, passing(handlers));
  };
}

/** A reading that is begun again begins a little before where it stood. */
function repeating(instance: Instance): Instance['follow'] {
  const begun = { times: 0 };
  return (after, keys, handlers) => {
    const again = begun.times++ > 0 && after.timestamp > 0;
    const to = again ? { ...after, timestamp: after.timestamp - 500_000 } : after;
    return instance.follow(to, keys, passing(handlers));
  };
}

function passing(handlers: FollowHandlers): FollowHandlers {
  return {
    batches: (frames) => {
      handlers.batches(frames);
    },
    gap: (gap) => {
      handlers.gap(gap);
    },
    progress: (watermark) => {
      handlers.progress(watermark);
    },
    failed: (error) => {
      handlers.failed(error);
    },
  };
}
