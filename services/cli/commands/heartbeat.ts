/** `meridian heartbeat`. */
import type { Invocation } from '../invocation.ts';
import { withJournal } from '../session.ts';
import { durationText, timeText } from '../units.ts';

export function run(call: Invocation): Promise<number> {
  return withJournal(call, async (journal) => {
    const startedAt = performance.now();
    const waitForWatermark = call.values.flag('wait');
    const { readPoint, watermark } = await journal.heartbeat({ waitForWatermark });
    const tookMs = Math.round((performance.now() - startedAt) * 1000) / 1000;
    const covered = watermark >= readPoint;
    const value = { readPoint, time: timeText(readPoint), watermark, covered, tookMs };
    call.output.document(value, () => {
      if (call.values.flag('quiet')) return String(readPoint);
      const behind = durationText((readPoint - watermark) / 1000);
      const state = covered ? 'covered by the watermark' : `the watermark is ${behind} behind it`;
      return `${readPoint}  ${timeText(readPoint)}\n${state}; answered in ${durationText(tookMs)}`;
    });
    return 0;
  });
}
