/** All workloads, by name. */
import type { Workload } from '../workload.ts';
import { bank } from './bank.ts';
import { lists, sets } from './collections.ts';
import { conditional } from './conditional.ts';
import { leases } from './leases.ts';
import { registers } from './registers.ts';
import { totalOrder } from './total-order.ts';
import { writers } from './writers.ts';

export const WORKLOADS: readonly Workload[] = [
  registers,
  sets,
  lists,
  conditional,
  leases,
  writers,
  totalOrder,
  bank,
];
