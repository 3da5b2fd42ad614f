/** Bugs planted in what the order makes of a batch: the machine is shown another header than the client has sent. */
import type { BatchHeader } from '../../../libs/order/types.ts';
import type { SystemBug } from './system-bugs.ts';

export function spoiledHeader(header: BatchHeader, bug: SystemBug | null): BatchHeader {
  const { writer, control, fencingToken } = header;
  switch (bug) {
    case 'token-unchecked':
      return fencingToken === null ? header : { ...header, fencingToken: null };
    case 'epoch-unchecked':
      if (writer === null) return header;
      return { ...header, writer: { ...writer, id: `${writer.id} ${writer.epoch}`, previous: 0 } };
    case 'append-repeated':
      return writer === null ? header : { ...header, writer: null };
    case 'action-repeated':
      return control == null ? header : { ...header, control: { ...control, requestId: '' } };
    case 'lease-unexpired':
      // Whoever asks counts as the holder of before.
      if (control?.action.kind !== 'acquire') return header;
      return { ...header, control: { ...control, action: { ...control.action, holder: 'all' } } };
    default:
      return header;
  }
}
