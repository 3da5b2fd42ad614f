/**
 * One rule for every call there is: which operation it is, and which field of its request says on which
 * stream. A call without a rule is refused, and a test reads the protobuf to find such a call. Health is
 * open, so that a balancer without a certificate may ask for it.
 */
import type { Operation } from './grants.ts';

export interface Rule {
  /** `open`: anybody who can connect. `any`: anybody who is somebody. */
  readonly operation: Operation | 'open' | 'any';
  /**
   * Where the streams are. `stream`, `prefix`: the text of that field, empty for all; `streams`: the list
   * of that field, empty for all; `append`: in every batch, checked one by one; `record`: in the field of
   * that name when it is there; `none`: no stream is concerned.
   */
  readonly scope: 'none' | 'stream' | 'prefix' | 'streams' | 'append' | 'record';
  /** Not counted against the rate of the caller: it holds up others when it waits. */
  readonly reserved?: boolean;
}

const journal = '/meridian.journal.v1.JournalService';
const streams = '/meridian.journal.v1.StreamService';
const crossbar = '/meridian.crossbar.v1.CrossbarService';
const peer = '/meridian.peer.v1.PeerService';
const sidecar = '/meridian.sidecar.v1.SidecarService';
const health = '/grpc.health.v1.Health';

export const RULES: Readonly<Record<string, Rule>> = {
  [`${journal}/Append`]: { operation: 'append', scope: 'append' },
  [`${journal}/Read`]: { operation: 'read', scope: 'stream' },
  [`${journal}/CheckTail`]: { operation: 'tail', scope: 'stream' },
  [`${journal}/Heartbeat`]: { operation: 'tail', scope: 'none', reserved: true },
  [`${journal}/GetWriter`]: { operation: 'append', scope: 'none' },
  [`${journal}/Status`]: { operation: 'status', scope: 'none', reserved: true },
  [`${journal}/Locate`]: { operation: 'read', scope: 'record' },

  [`${streams}/CreateStream`]: { operation: 'streams', scope: 'stream' },
  [`${streams}/ConfigureStream`]: { operation: 'streams', scope: 'stream' },
  [`${streams}/DeleteStream`]: { operation: 'streams', scope: 'stream' },
  [`${streams}/DescribeStream`]: { operation: 'read', scope: 'stream' },
  [`${streams}/ListStreams`]: { operation: 'read', scope: 'prefix' },
  [`${streams}/LocalTail`]: { operation: 'tail', scope: 'stream' },
  [`${streams}/ResolveAppend`]: { operation: 'append', scope: 'none' },
  [`${streams}/Fence`]: { operation: 'fence', scope: 'stream' },
  [`${streams}/Trim`]: { operation: 'trim', scope: 'stream' },
  [`${streams}/AcquireLease`]: { operation: 'fence', scope: 'stream' },
  [`${streams}/RenewLease`]: { operation: 'fence', scope: 'stream' },
  [`${streams}/ReleaseLease`]: { operation: 'fence', scope: 'stream' },

  [`${crossbar}/Subscribe`]: { operation: 'read', scope: 'streams' },
  [`${crossbar}/Heartbeat`]: { operation: 'tail', scope: 'none', reserved: true },
  [`${crossbar}/WaitFor`]: { operation: 'tail', scope: 'none' },
  [`${crossbar}/Status`]: { operation: 'status', scope: 'none', reserved: true },

  [`${peer}/Link`]: { operation: 'peer', scope: 'none', reserved: true },
  [`${peer}/FetchCheckpoint`]: { operation: 'peer', scope: 'none', reserved: true },
  [`${peer}/View`]: { operation: 'peer', scope: 'none', reserved: true },
  [`${peer}/FetchEntries`]: { operation: 'peer', scope: 'none', reserved: true },
  [`${peer}/CompareRelease`]: { operation: 'peer', scope: 'none', reserved: true },

  [`${sidecar}/Wait`]: { operation: 'tail', scope: 'none' },
  [`${sidecar}/Promote`]: { operation: 'promote', scope: 'none' },
  [`${sidecar}/StepDown`]: { operation: 'promote', scope: 'none' },
  [`${sidecar}/Rejoin`]: { operation: 'promote', scope: 'none' },
  [`${sidecar}/Status`]: { operation: 'status', scope: 'none', reserved: true },

  [`${health}/Check`]: { operation: 'open', scope: 'none', reserved: true },
  [`${health}/Watch`]: { operation: 'open', scope: 'none', reserved: true },
  [`${health}/List`]: { operation: 'open', scope: 'none', reserved: true },
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': { operation: 'any', scope: 'none' },
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': {
    operation: 'any',
    scope: 'none',
  },
};

/** The streams that a request names; null stands for all of them. */
export function streamsOf({ scope }: Rule, request: object): readonly (string | null)[] {
  const fields = request as Readonly<Record<string, unknown>>;
  switch (scope) {
    case 'none':
    case 'append':
    case 'prefix':
      return [];
    case 'stream':
      return [textOrAll(fields['stream'])];
    case 'streams': {
      const list = fields['streams'];
      return Array.isArray(list) && list.length > 0 ? list.map(textOrAll) : [null];
    }
    case 'record': {
      const what = fields['what'] as { readonly case?: string; readonly value?: unknown };
      const record = what.case === 'record' ? (what.value as { readonly stream: unknown }) : null;
      return [record === null ? null : textOrAll(record.stream)];
    }
  }
}

function textOrAll(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
