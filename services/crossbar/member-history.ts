/**
 * Reads the changes of the members out of the registry's journal. Two ways, for two questions: what some replica
 * knows is enough to begin where it stands, also without a quorum; a read point has to know every join
 * that was complete before it was asked for, so it asks the quorum.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { MEMBERS_STREAM, decodeMemberRecord } from '../../libs/frames/member-record.ts';
import type { MemberRecord } from '../../libs/frames/member-record.ts';
import type { PlacedChange } from '../../libs/merge/members.ts';
import type { Membership } from './membership.ts';

/** Afterwards the changes up to some replica's watermark are known, which is the answer. */
export async function learnWhatIsReleased(membership: Membership): Promise<number> {
  const { watermark, records } = await membership.registry.localTail(MEMBERS_STREAM);
  if (records >= membership.recordsRead) await learn(membership, records, watermark);
  return watermark;
}

/** Afterwards every change is known whose append was complete before the call. */
export async function learnWhatIsComplete(membership: Membership): Promise<void> {
  const known = membership.recordsRead;
  const records = await membership.registry.tail(MEMBERS_STREAM);
  if (records < known) {
    throw new MeridianError(
      'CORRUPT',
      `stream ${MEMBERS_STREAM} of instance ${membership.registry.name} had ${known} records and has ${records}: ` +
        'the changes of the members are part of the order and must not be deleted',
      { details: { instance: membership.registry.name, stream: MEMBERS_STREAM } },
    );
  }
  if (records > membership.recordsRead) await learn(membership, records, 0);
}

async function learn(membership: Membership, count: number, through: number): Promise<void> {
  const from = membership.recordsRead;
  const { registry } = membership;
  const records = count > from ? await registry.records(MEMBERS_STREAM, from, count) : [];
  const decoded = records.flatMap(({ seqNum, timestamp, record }) => {
    const facts = decodeMemberRecord(record);
    return facts === null ? [] : [{ seqNum, timestamp, facts }];
  });
  const [first] = decoded;
  if (count > from && records[0]?.seqNum !== from) {
    // What is trimmed says the first one that is left.
    if (first === undefined) throw unreadable(registry.name);
    membership.recall(first.facts);
  }
  const changes: PlacedChange<MemberRecord>[] = [];
  for (const { timestamp, facts } of decoded) {
    // Of an entry the first record that is a change, as in `instance-input.ts`.
    if (facts.kind === 'renewal' || changes.at(-1)?.at.timestamp === timestamp) continue;
    changes.push({ change: facts, at: { timestamp, instance: registry.number } });
  }
  membership.read(count, changes, through);
}

function unreadable(registry: string): MeridianError {
  const message = `nothing of what stream ${MEMBERS_STREAM} of instance ${registry} still has says who the members are: it was trimmed too far`;
  return new MeridianError('CORRUPT', message, { details: { instance: registry } });
}
