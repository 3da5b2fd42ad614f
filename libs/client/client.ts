/** The public face of the library; README.md has examples. */
export { MeridianError } from '../errors/errors.ts';
export type { Reason } from '../errors/errors.ts';
export type { StatusResponse } from '../gen/meridian/journal/v1/journal_pb.ts';
export { connectInstances } from './instances.ts';
export type { Instances, SpreadResult } from './instances.ts';
export { connectJournal } from './journal.ts';
export type { Journal } from './journal.ts';
export type { HeldLease } from './lease.ts';
export { keyPrefix, OFFSET_END } from './types.ts';
export type * from './types.ts';
export type { Writer } from './writer.ts';
