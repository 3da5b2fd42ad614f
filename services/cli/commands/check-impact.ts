/** `meridian check-impact`: may a region go down now? */
import { UsageError } from '../arguments.ts';
import { BOUNDS, impactOf } from '../diagnosis.ts';
import type { Impact } from '../diagnosis.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { askReplicas } from '../replicas.ts';
import { instanceView } from '../status-view.ts';
import { didYouMean } from '../suggest.ts';

export async function run(call: Invocation): Promise<number> {
  const { values, output } = call;
  const endpoint = await call.endpoint();
  const regions = endpoint.replicas.map(({ region }) => region);
  const asked = values.text('which');
  if (asked !== undefined && !regions.includes(asked)) {
    const near = didYouMean(asked, regions);
    throw new UsageError(`region ${asked} is none of ${regions.join(', ')}${near}`, call.command);
  }
  const bounds = {
    lagMs: values.number('max-lag') ?? BOUNDS.lagMs,
    entriesBehind: values.number('max-entries') ?? BOUNDS.entriesBehind,
    freeBytes: values.number('min-free') ?? BOUNDS.freeBytes,
  };
  const view = instanceView(endpoint, await askReplicas(endpoint), new Date());
  const wanted = asked === undefined ? regions : [asked];
  const impacts = wanted.map((region) => impactOf(view, region, bounds));
  const allowed = impacts.every((impact) => impact.allowed);
  output.document({ allowed, regions: impacts }, () => impacts.map(impactText).join('\n'));
  return allowed ? EXIT.ok : EXIT.no;
}

function impactText({ region, allowed, reasons, effects }: Impact): string {
  const lines = (texts: readonly string[]): string => texts.map((text) => `  ${text}\n`).join('');
  const verdict = allowed ? `${region} may go down now` : `${region} must not go down now`;
  const why = reasons.length === 0 ? '' : `because\n${lines(reasons)}`;
  return `${verdict}\n${why}${effects.length === 0 ? '' : `then\n${lines(effects)}`}`;
}
