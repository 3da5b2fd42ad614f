/** Where the spans of traced appends go, by the configuration. */
import { SpanExporter } from '../../libs/telemetry/spans.ts';
import type { JournalConfig } from './config.ts';
import { VERSION } from './version.ts';

/** null: traces go nowhere, and nobody looks for them. */
export function spanExporter(config: JournalConfig): SpanExporter | null {
  const { tracesEndpoint: endpoint, cluster, instance, region } = config;
  if (endpoint === undefined) return null;
  const resource = {
    'service.name': 'meridian-journal',
    'service.version': VERSION,
    'service.instance.id': `${cluster}/${instance}/${region}`,
    'cloud.region': region,
  };
  return new SpanExporter({ endpoint, resource });
}
