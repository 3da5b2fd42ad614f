import { describe, expect, it } from 'vitest';
import { decodeRecords, encodeBatch } from './batch.ts';
import type { RecordInput } from './record.ts';
import {
  MEMBERS_KEY,
  MEMBERS_STREAM,
  decodeMemberRecord,
  encodeMemberRecord,
  memberRecordIn,
} from './member-record.ts';
import type { MemberRecord } from './member-record.ts';

const JOIN: MemberRecord = {
  kind: 'join',
  instance: 3,
  name: 'orders-3',
  replicas: [
    { region: 'eu-west', address: '10.0.0.1:7401' },
    { region: 'eu-north', address: '10.0.0.2:7401' },
  ],
  founders: [
    { number: 1, name: 'orders' },
    { number: 2, name: 'payments' },
  ],
  history: [
    {
      kind: 'join',
      instance: 9,
      name: 'old',
      replicas: [{ region: 'a', address: 'h:1' }],
      timestamp: 7,
    },
    { kind: 'leave', instance: 9, name: 'old', replicas: [], timestamp: 8 },
  ],
};
const inStream = (records: readonly RecordInput[], stream = MEMBERS_STREAM): MemberRecord | null =>
  memberRecordIn(encodeBatch({ stream, records }));
const bodied = (value: unknown): RecordInput => ({
  ...encodeMemberRecord(JOIN),
  body: Buffer.from(JSON.stringify(value)),
});

describe('a change of the members', () => {
  it('comes back as it was, the first of a batch that is one', () => {
    const leave: MemberRecord = { ...JOIN, kind: 'leave', replicas: [] };
    expect(inStream([encodeMemberRecord(JOIN)])).toEqual(JOIN);
    const noise = { key: MEMBERS_KEY, body: Buffer.from('hello') };
    expect(inStream([noise, encodeMemberRecord(leave), encodeMemberRecord(JOIN)])).toEqual(leave);
  });

  it('is none in another stream, without its key or header, or with a body that is none', () => {
    const record = encodeMemberRecord(JOIN);
    expect(inStream([record], 'other')).toBeNull();
    expect(inStream([{ headers: record.headers ?? [], body: record.body }])).toBeNull();
    expect(inStream([{ key: MEMBERS_KEY, body: record.body }])).toBeNull();
    const [founder] = JOIN.founders;
    const [past] = JOIN.history;
    for (const value of [
      null,
      7,
      { ...JOIN, kind: 'stay' },
      { ...JOIN, instance: 0 },
      { ...JOIN, instance: 65_536 },
      { ...JOIN, name: 'no such name' },
      { ...JOIN, replicas: [] },
      { ...JOIN, replicas: [{ region: 'a' }] },
      { ...JOIN, replicas: [JOIN.replicas[0], JOIN.replicas[0]] },
      { ...JOIN, founders: [] },
      { ...JOIN, founders: [founder, founder] },
      { ...JOIN, founders: [{ number: 1 }] },
      { ...JOIN, history: [past, past] },
      { ...JOIN, history: [{ ...past, timestamp: 'x' }] },
      { ...JOIN, history: undefined },
    ]) {
      expect(inStream([bodied(value)]), JSON.stringify(value)).toBeNull();
    }
  });

  it('is told from a renewal, which says again what there has been', () => {
    const { founders, history } = JOIN;
    const renewal = { kind: 'renewal', founders, history } as const;
    expect(inStream([encodeMemberRecord(renewal), encodeMemberRecord(JOIN)])).toEqual(JOIN);
    const records = [encodeMemberRecord(renewal)];
    const [record] = decodeRecords(encodeBatch({ stream: MEMBERS_STREAM, records }));
    if (record === undefined) throw new Error('one record');
    expect(decodeMemberRecord(record)).toEqual(renewal);
  });

  it('of a later format is not skipped: who cannot read it cannot know the order', () => {
    const later: RecordInput = {
      ...encodeMemberRecord(JOIN),
      headers: [['meridian-members', Buffer.from('2')]],
    };
    expect(() => inStream([later])).toThrow('update this program');
  });

  it('is refused where it is made, if nobody would read it', () => {
    expect(() => encodeMemberRecord({ ...JOIN, replicas: [] })).toThrow('no record of members');
    const [record] = decodeRecords(
      encodeBatch({ stream: MEMBERS_STREAM, records: [encodeMemberRecord(JOIN)] }),
    );
    expect(Buffer.from(record?.key ?? []).toString()).toBe(MEMBERS_STREAM);
  });
});
