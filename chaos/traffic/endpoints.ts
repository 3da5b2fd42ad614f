/**
 * Where a workload finds the system. Every link passes through a proxy of its own, so an address
 * depends on the region from which it is dialled.
 */
import type { ReplicaAddress } from '../../libs/client/client.ts';

export interface InstanceEndpoints {
  readonly name: string;
  /** Number of the instance in the merged order, from 1. */
  readonly number: number;
  /** By region of the client: its addresses of all replicas, the nearest first. */
  readonly replicasFrom: Readonly<Record<string, readonly ReplicaAddress[]>>;
}

export interface DatabaseEndpoint {
  readonly region: string;
  /** Rows are changed in the primary; replicas are what the sidecars make of it. */
  readonly role: 'primary' | 'replica';
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

export interface Endpoints {
  readonly cluster: string;
  readonly regions: readonly string[];
  readonly instances: readonly InstanceEndpoints[];
  /** By region of the subscriber: addresses of the crossbars, the nearest first; empty without. */
  readonly crossbarsFrom: Readonly<Record<string, readonly string[]>>;
  readonly databases: readonly DatabaseEndpoint[];
}
