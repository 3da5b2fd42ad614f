/** CrossbarService over gRPC: translates messages, decides nothing. */
import { MeridianError } from '../../libs/errors/errors.ts';
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { bind } from '../../libs/rpc/rpc.ts';
import type { ServiceBinding } from '../../libs/rpc/rpc.ts';
import type { Crossbar } from './crossbar.ts';

export function crossbarService(
  crossbar: Crossbar,
  identity: { readonly cluster: string; readonly region: string },
): ServiceBinding {
  return bind(CrossbarService, {
    subscribe: (request, stream) => {
      crossbar.subscribe(request, stream);
    },
    heartbeat: async ({ cluster, waitForWatermark }, { signal }) => {
      const answer = await crossbar.heartbeat(cluster, waitForWatermark, signal);
      const { readPoint, watermark, cursor } = answer;
      return { readPoint: BigInt(readPoint), watermark: BigInt(watermark), cursor };
    },
    waitFor: async ({ cluster, place }, { signal }) => {
      if (place.case === undefined) throw new MeridianError('INVALID', 'no place to wait for');
      const where = place.case === 'cursor' ? place.value : Number(place.value);
      return { watermark: BigInt(await crossbar.waitFor(cluster, where, signal)) };
    },
    status: (request) => {
      crossbar.checkCluster(request.cluster);
      const { watermark, subscribers, registry, lives, changesKnownTo, instances } =
        crossbar.status();
      const load = crossbar.load();
      return Promise.resolve({
        ...identity,
        subscribers,
        catchingUp: load.subscribers.catchingUp + load.subscribers.waiting,
        watermark: BigInt(watermark),
        heldBytes: BigInt(load.heldBytes),
        windowBytes: BigInt(load.windowBytes),
        registry,
        changesKnownTo: BigInt(changesKnownTo),
        lives: lives.map((life) => ({
          ...life,
          joinedAt: BigInt(life.joinedAt),
          leftAt: BigInt(life.leftAt),
          replicas: [...life.replicas],
        })),
        instances: instances.map((instance) => ({
          ...instance,
          watermark: BigInt(instance.watermark),
        })),
      });
    },
  });
}
