/**
 * The configuration file: named contexts, each a journal that one may mean, and which is meant when
 * nothing else is said. Read and judged by libs/config; loaded only when there is such a file.
 */
import { z } from 'zod';
import { loadConfig } from '../../libs/config/config.ts';
import { UsageError } from './arguments.ts';
import { ADDRESS } from './endpoint.ts';

const address = z.string().regex(ADDRESS, 'expected host:port');
const context = z.strictObject({
  cluster: z.string().min(1),
  instance: z.string().min(1),
  region: z.string().min(1).optional(),
  deadline: z.string().optional(),
  replicas: z.record(z.string(), address),
  tls: z
    .strictObject({
      ca: z.string().min(1),
      certificate: z.string().min(1).optional(),
      key: z.string().min(1).optional(),
    })
    .optional(),
  tokenFile: z.string().min(1).optional(),
});
const schema = z.object({
  current: z.string().optional().describe('the context that is meant when none is named'),
  contexts: z.record(z.string(), context).describe('by name'),
});

export type Context = z.output<typeof context>;

export interface ContextFile {
  readonly current: string | null;
  readonly contexts: ReadonlyMap<string, Context>;
}

/** Throws UsageError with every mistake in the file. */
export function readContexts(file: string): ContextFile {
  const argv = ['--config', file];
  const loaded = loadConfig({ schema, name: 'meridian', argv, env: {} });
  if (loaded.kind === 'mistakes') {
    throw new UsageError(`the configuration file is not usable\n  ${loaded.mistakes.join('\n  ')}`);
  }
  if (loaded.kind === 'print') throw new UsageError(`${file}: nothing to read`);
  const { current, contexts } = loaded.config;
  return { current: current ?? null, contexts: new Map(Object.entries(contexts)) };
}
