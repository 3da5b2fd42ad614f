/** `meridian version`. */
import { columns } from '../columns.ts';
import type { Invocation } from '../invocation.ts';
import { VERSION } from '../version.ts';

export async function run(call: Invocation): Promise<number> {
  const node = process.versions.node;
  if (!call.values.flag('replicas-too')) {
    call.output.document({ version: VERSION, node }, () => `meridian ${VERSION}`);
    return 0;
  }
  const { askReplicas } = await import('../replicas.ts');
  const endpoint = await call.endpoint();
  const answers = await askReplicas(endpoint);
  const replicas = answers.map(({ region, status }) => ({
    region,
    version: status?.version ?? null,
  }));
  call.output.document({ version: VERSION, node, replicas }, () =>
    columns([
      ['program', VERSION],
      ...replicas.map(({ region, version }) => [region, version ?? 'no answer']),
    ]),
  );
  return 0;
}
