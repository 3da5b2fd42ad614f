/** The client library over simulated lines, for one life of a process. */
import { Journal } from '../../../libs/client/journal.ts';
import type { Channel } from '../../../libs/rpc/rpc.ts';
import { CLUSTER } from './replica-side.ts';
import type { ClientSwarm } from './client-options.ts';
import type { Calls, Line } from './virtual-calls.ts';

export interface ConnectedOptions {
  readonly instance: string;
  readonly calls: Calls;
  readonly swarm: ClientSwarm;
  /** To the replicas, the nearest first. */
  readonly lines: readonly Line[];
}

/** `onRequest` hears the request id of every action, before it is sent. */
export function connectedJournal(
  { instance, calls, swarm, lines }: ConnectedOptions,
  onRequest: (requestId: string) => void,
): Journal {
  const { deadlineMs, silenceMs, queueBytesMax } = swarm;
  const replicas = lines.map((_, i) => ({ region: `region-${i}`, address: `region-${i}` }));
  const settings = { cluster: CLUSTER, instance, replicas, deadlineMs, silenceMs, queueBytesMax };
  return new Journal(settings, (address) => {
    const line = lines[replicas.findIndex((replica) => replica.address === address)];
    if (line === undefined) throw new Error(`no line to ${address}`);
    return listened(calls.channel(address, line), onRequest);
  });
}

function listened(channel: Channel, onRequest: (requestId: string) => void): Channel {
  return {
    ...channel,
    unary: (method, request, options) => {
      const { requestId } = request as { readonly requestId?: string };
      if (requestId !== undefined && requestId !== '') onRequest(requestId);
      return channel.unary(method, request, options);
    },
  };
}
