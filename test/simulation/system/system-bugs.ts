/**
 * Bugs planted between the instances and who reads them: in the crossbar's inputs, the cursors, the database, the
 * archive. Where the same bug is one of a replica alone, ../planted-bugs.ts has it.
 */
import type { SystemFocus } from './system-options.ts';

export const SYSTEM_BUGS = [
  { id: 'merge-maximum', what: 'an instance counts as closed as far as the farthest of them' },
  { id: 'heartbeat-one-instance', what: 'a heartbeat asks the first instance only' },
  { id: 'crossbar-heartbeat-reused', what: 'a read takes the read point of an earlier heartbeat' },
  { id: 'heartbeat-watermark', what: 'a watermark of some replica is taken for a read point' },
  { id: 'read-unwaited', what: 'a read does not wait until the database has come so far' },
  { id: 'failover-skips', what: 'who goes on at another replica leaves out what comes next' },
  { id: 'failover-repeats', what: 'who goes on at another replica begins before where it stood' },
  { id: 'cursor-ahead', what: 'a subscription is resumed behind its cursor' },
  { id: 'cursor-behind', what: 'a subscription is resumed before its cursor' },
  { id: 'joiner-late', what: 'an instance that joins is read from a while after its join' },
  { id: 'position-apart', what: 'an applier stores its position in a transaction of its own' },
  { id: 'position-stale', what: 'a database tells an older position than it has stored' },
  { id: 'manifest-unverified', what: 'a manifest names a segment before it was read back' },
  { id: 'put-unconditional', what: 'an object that is there already is overwritten' },
  { id: 'exists-believed', what: 'an object that is there already is taken for the own one' },
  { id: 'dropped-unarchived', what: 'log goes before a manifest names it' },
  { id: 'dropped-at-upload', what: 'log goes as soon as its segment is uploaded' },
  { id: 'tier-skips', what: 'a reader that goes from the log to the archive leaves out an entry' },
  { id: 'token-unchecked', what: 'an append with a fencing token is taken whatever the token is' },
  { id: 'epoch-unchecked', what: 'each epoch of a writer counts as a writer of its own' },
  { id: 'append-repeated', what: 'an append that comes again takes effect again' },
  { id: 'action-repeated', what: 'a control action that comes again takes effect again' },
  { id: 'lease-unexpired', what: 'a lease is granted although another holds it' },
  { id: 'trim-forgotten', what: 'readers are given what was trimmed' },
  { id: 'session-forgets', what: 'a fenced writer is answered by the quorum alone' },
  { id: 'token-undemanded', what: 'a QUORUM append without the demanded token is answered' },
  { id: 'ordered-as-quorum', what: 'a session answers ORDERED appends when they are committed' },
  { id: 'answers-reversed', what: 'a session gives the answers of a message in reverse' },
] as const;

export type SystemBug = (typeof SYSTEM_BUGS)[number]['id'];

/** Where to look; a bug without an entry is looked for everywhere. */
export const SYSTEM_FOCUS: Readonly<Partial<Record<SystemBug, SystemFocus>>> = {
  'failover-skips': { faults: ['lineReset', 'lineCut'], intensity: 2 },
  'failover-repeats': { faults: ['lineReset', 'lineCut'], intensity: 2 },
  'cursor-ahead': { faults: ['subscriberLeaves', 'applierCrash'] },
  'cursor-behind': { faults: ['subscriberLeaves', 'applierCrash'] },
  'joiner-late': { members: true },
  'append-repeated': { faults: ['lineReset', 'lineMute'], intensity: 2 },
  'action-repeated': { faults: ['lineReset', 'lineMute'], intensity: 2 },
  'session-forgets': { busy: 2 },
  'token-undemanded': { busy: 2 },
  'position-apart': { faults: ['applierCrash'], intensity: 3 },
  'position-stale': { faults: ['applierCrash'], intensity: 3 },
  'manifest-unverified': { archive: true },
  'put-unconditional': { archive: true },
  'exists-believed': { archive: true },
  'dropped-unarchived': { archive: true },
  'dropped-at-upload': { archive: true },
  'tier-skips': { archive: true, faults: ['applierCrash', 'subscriberLeaves'] },
};
