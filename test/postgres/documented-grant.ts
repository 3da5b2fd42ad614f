/** What SECURITY.md says a sidecar must be granted: tests run with it, and hold deployments against it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { ROOT } from '../layout/source-files.ts';

const example = z.object({
  access: z.object({
    grants: z.array(z.object({ principal: z.string(), operations: z.array(z.string()) })),
  }),
});

/** Operations of the sidecar in the example, which ships. */
export function documentedGrant(): readonly string[] {
  const text = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');
  const yaml = /```yaml\n(tls:[\s\S]*?)```/.exec(text)?.[1] ?? '';
  const { grants } = example.parse(parse(yaml)).access;
  const { operations = [] } = grants.find(({ principal }) => principal === 'sidecar/shop') ?? {};
  return operations;
}
