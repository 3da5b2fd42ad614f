/** The janitor of both archives as a member: it deletes there what every stream has trimmed. */
import { join } from 'node:path';
import { ServiceProcess } from '../../libs/processes/service.ts';
import { archiveUrl, writeConfig } from './journals.ts';
import type { Member } from './supervisor.ts';
import { CLUSTER, INSTANCES } from './topology.ts';

const MINUTE_MS = 60_000;

/** What `services/journal/janitor-service-main.ts` reads, see janitor-config.ts. */
export function janitorConfig(directory: string): object {
  return {
    cluster: CLUSTER,
    archives: INSTANCES.map((instance) => ({ url: archiveUrl(directory, instance) })),
    // Short, so that there is something to see: elsewhere an hour each.
    roundMs: MINUTE_MS,
    graceMs: MINUTE_MS,
  };
}

export function janitorMember(directory: string): Member {
  const name = 'janitor';
  return new ServiceProcess({
    name,
    module: 'journal/janitor-service-main.js',
    args: ['--config', writeConfig(directory, name, janitorConfig(directory))],
    logFile: join(directory, 'logs', `${name}.log`),
    ready: { line: /"msg":"making rounds"/ },
  });
}
