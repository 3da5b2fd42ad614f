/**
 * Asks every replica of a journal at the same time and waits for each no longer than a moment: for
 * commands that show or compare all of them. One that does not answer is a result, not a failure.
 */
import type {
  DescMethodUnary,
  DescMessage,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { JournalOptions, ReplicaAddress } from '../../libs/client/types.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { openClientSecurity } from '../../libs/security/client-security.ts';

const DEADLINE_MS = 2_000;

export interface StatusAnswer {
  readonly region: string;
  readonly address: string;
  readonly status: StatusResponse | null;
  /** Why there is no status. */
  readonly error: MeridianError | null;
  /** How long the answer took, milliseconds. */
  readonly tookMs: number;
}

export class Replicas {
  readonly list: readonly ReplicaAddress[];
  readonly #channels: readonly Channel[];
  readonly #deadlineMs: number;
  readonly #target: { readonly cluster: string; readonly instance: string };

  constructor({ replicas, cluster, instance, deadlineMs, security }: JournalOptions) {
    this.list = replicas;
    const secure = openClientSecurity(security);
    this.#channels = replicas.map(({ region, address }) => {
      const expected = { cluster, role: 'replica', names: [instance, region] } as const;
      return connect(address, {}, secure?.(expected) ?? null);
    });
    this.#deadlineMs = deadlineMs ?? DEADLINE_MS;
    this.#target = { cluster, instance };
  }

  /** One answer a replica, in their order. */
  status(): Promise<StatusAnswer[]> {
    return Promise.all(
      this.list.map(async ({ region, address }, at) => {
        const startedAt = performance.now();
        const answer = await this.ask(at, JournalService.method.status, { target: this.#target });
        const tookMs = performance.now() - startedAt;
        const [status, error] =
          answer instanceof MeridianError ? [null, answer] : ([answer, null] as const);
        return { region, address, status, error, tookMs };
      }),
    );
  }

  /** The request must name its target. */
  async ask<I extends DescMessage, O extends DescMessage>(
    at: number,
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O> | MeridianError> {
    const channel = this.#channels[at];
    if (channel === undefined) return new MeridianError('UNAVAILABLE', `there is no replica ${at}`);
    try {
      return await channel.unary(method, request, { deadlineMs: this.#deadlineMs });
    } catch (error) {
      if (error instanceof MeridianError) return error;
      throw error;
    }
  }

  get target(): { readonly cluster: string; readonly instance: string } {
    return this.#target;
  }

  close(): void {
    for (const channel of this.#channels) channel.close();
  }
}

export async function askReplicas(endpoint: JournalOptions): Promise<StatusAnswer[]> {
  const replicas = new Replicas(endpoint);
  try {
    return await replicas.status();
  } finally {
    replicas.close();
  }
}
