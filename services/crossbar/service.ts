/** CrossbarService over gRPC: translates messages, decides nothing. */
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
    heartbeat: async (request) => {
      const { readPoint, watermark } = await crossbar.heartbeat(request.cluster);
      return { readPoint: BigInt(readPoint), watermark: BigInt(watermark) };
    },
    status: (request) => {
      crossbar.checkCluster(request.cluster);
      const { watermark, subscribers, instances } = crossbar.status();
      return Promise.resolve({
        ...identity,
        watermark: BigInt(watermark),
        subscribers,
        instances: instances.map((instance) => ({
          ...instance,
          watermark: BigInt(instance.watermark),
        })),
      });
    },
  });
}
