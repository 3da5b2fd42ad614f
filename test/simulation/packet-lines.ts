/** A packet in words, for whoever reads a trace. */
import type { Packet } from '../../libs/lane/types.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { Content } from './operations.ts';
import type { Trace } from './trace.ts';

export function describePacket(
  trace: Trace,
  from: ReplicaId,
  to: ReplicaId,
  packet: Packet<Content>,
): void {
  const { status } = packet;
  const lanes = status.lanes.map(
    (l) => `p${l.promised} ${l.tail.epoch}/${l.tail.index} c${l.closed} f${l.feeder}`,
  );
  const hears = status.hears.map(Number).join('');
  const say = (text: string): void => {
    trace.text(from, `  → r${to} ${text}`);
  };
  say(`status ${lanes.join(' | ')} hears ${hears} voting ${status.voting}`);
  for (const a of packet.announcements) {
    say(`announce lane ${a.lane} e${a.epoch} ${a.closed} @${a.index}`);
  }
  for (const { lane, epoch, previous, entries, committed, adoption } of packet.feeds) {
    const list = entries.map((e) => `${e.epoch}/${e.index}@${e.timestamp}`).join(' ');
    const kind = adoption ? ' adoption' : '';
    const after = `${previous.epoch}/${previous.index}`;
    say(`feed lane ${lane} e${epoch} after ${after}: ${list} committed ${committed}${kind}`);
  }
  for (const letter of packet.letters) {
    say(`letter ${letter.from}→${letter.to} ${JSON.stringify(letter.control)}`);
  }
}
