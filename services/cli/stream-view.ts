/** A stream as JSON and as text: the same for describe, list and configure. */
import type { LeaseGrant, StreamDescription } from '../../libs/client/client.ts';
import { numbersText, timeOrNull, timeText } from './units.ts';

export function leaseJson(lease: LeaseGrant): object {
  const { holder, token, expiresAt } = lease;
  return { holder, token, expiresAt, expires: timeText(expiresAt) };
}

export function streamJson(stream: StreamDescription): object {
  const { name, nextSeqNum, firstSeqNum, timestamp, createdAt, fencingToken, config, lease } =
    stream;
  return {
    stream: name,
    nextSeqNum,
    firstSeqNum,
    timestamp,
    time: timeOrNull(timestamp),
    createdAt,
    fencingToken,
    fencing: config.fencing,
    lease: lease === null ? null : leaseJson(lease),
  };
}

export function leaseText(lease: LeaseGrant | null): string {
  if (lease === null) return 'nobody';
  return `${lease.holder}, token ${lease.token}, until ${timeText(lease.expiresAt)}`;
}

export function streamText(stream: StreamDescription): string {
  const { name, nextSeqNum, firstSeqNum, timestamp, createdAt, fencingToken, config } = stream;
  const held = nextSeqNum - firstSeqNum;
  return [
    `stream    ${name}`,
    `records   ${held === 0 ? 'none' : `${held} (${numbersText(firstSeqNum, held)})`}; the next is #${nextSeqNum}`,
    `last      ${timeText(timestamp)}`,
    `created   ${timeText(createdAt)}`,
    `fencing   ${config.fencing}, token ${fencingToken}`,
    `lease     ${leaseText(stream.lease)}`,
  ].join('\n');
}
