/** How this replica sees itself and the instance: what consoles show, its own and those of its peers. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { ViewResponseSchema } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { EventLog } from './event-log.ts';
import type { Readers } from './readers.ts';
import { statusOf } from './status.ts';
import type { StatusSource } from './status.ts';

export interface OwnViewSource {
  readonly status: StatusSource;
  readonly obstacle: () => MeridianError | null;
  readonly forwardedVia: () => string;
  readonly told: EventLog;
  readonly readers: Pick<Readers, 'views'>;
}

export type OwnView = MessageInitShape<typeof ViewResponseSchema>;

const OPEN_READS_MAX = 100;

export async function ownView(source: OwnViewSource): Promise<OwnView> {
  const { status, obstacle, forwardedVia, told, readers } = source;
  return {
    status: await statusOf(status),
    obstacle: obstacle()?.message ?? '',
    forwardedVia: forwardedVia(),
    events: [...told.list],
    reads: readers.views(OPEN_READS_MAX).map(({ client, stream, position, heldBytes }) => ({
      client,
      stream: stream ?? '',
      position: BigInt(Math.max(0, position)),
      heldBytes: BigInt(heldBytes),
    })),
  };
}
