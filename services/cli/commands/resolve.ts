/** `meridian resolve`: what became of a writer's append, or where the writer stands. */
import type { AppendResolution } from '../../../libs/client/client.ts';
import { UsageError } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { withJournal } from '../session.ts';
import { timeOrNull, timeText } from '../units.ts';

export function run(call: Invocation): Promise<number> {
  const { values, output, command } = call;
  const writerId = values.text('writer') ?? '';
  const seq = values.number('seq');
  const epoch = values.number('epoch');
  if (seq === undefined && epoch !== undefined)
    throw new UsageError('--epoch needs --seq', command);
  return withJournal(call, async (journal) => {
    const known = await journal.getWriter(writerId);
    if (seq === undefined) {
      const { lastSeq = 0, timestamp = 0 } = known ?? {};
      const time = timeOrNull(timestamp);
      const state = { epoch: known?.epoch ?? null, lastSeq, timestamp, time };
      output.document({ writerId, known: known !== null, ...state }, () =>
        known === null
          ? `the journal knows no writer ${writerId}`
          : `writer ${writerId}: epoch ${known.epoch}, last decided seq ${lastSeq}, ${timeText(timestamp)}`,
      );
      return known === null ? EXIT.notFound : EXIT.ok;
    }
    const of = { writerId, epoch: epoch ?? known?.epoch ?? 1, seq };
    const resolution = await journal.resolveAppend(of);
    output.document({ ...of, ...resolutionJson(resolution) }, () => {
      if (values.flag('quiet')) return resolution.state;
      return `append ${seq} of writer ${writerId}, epoch ${of.epoch}: ${resolutionText(resolution)}`;
    });
    return CODES[resolution.state];
  });
}

const CODES: Readonly<Record<AppendResolution['state'], number>> = {
  appended: EXIT.ok,
  failed: EXIT.no,
  never: EXIT.no,
  pending: EXIT.unknownOutcome,
  forgotten: EXIT.unknownOutcome,
};

function resolutionJson(resolution: AppendResolution): object {
  switch (resolution.state) {
    case 'appended': {
      const { state, timestamp, firstSeqNum } = resolution;
      return { state, timestamp, time: timeText(timestamp), firstSeqNum };
    }
    case 'failed': {
      const { reason, message, details } = resolution.error;
      return { state: 'failed', error: { reason, message, details } };
    }
    case 'never':
    case 'pending':
    case 'forgotten':
      return resolution;
  }
}

function resolutionText(resolution: AppendResolution): string {
  switch (resolution.state) {
    case 'appended':
      return `appended as #${resolution.firstSeqNum} at ${timeText(resolution.timestamp)}`;
    case 'failed':
      return `decided without effect: ${resolution.error.reason}: ${resolution.error.message}`;
    case 'never':
      return 'has not taken effect and never will';
    case 'pending':
      return 'has not taken effect so far, and may still arrive; a higher epoch of the writer ends that';
    case 'forgotten':
      return `not known any more; if it was decided, then before ${timeText(resolution.forgottenBefore)}`;
  }
}
