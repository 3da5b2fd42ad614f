/**
 * `node dist/services/journal/janitor-main.js '<json>'`: one round of deleting in an archive; prints what it did
 * as one JSON line. The argument has url, retentionMs, retentionBytes, trims, graceMs, unnamedMs, dryRun and, for a
 * bucket, region, endpoint, pathStyle; keysFile when it is sealed. Exit codes: 0 done, 1 refused or failed, with the reason. A program of
 * its own, so that it runs with credentials of its own: nobody else needs to delete.
 */
import { openStore } from '../../libs/archive/open-store.ts';
import type { StoreSettings } from '../../libs/archive/open-store.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { cleanArchive } from './janitor.ts';

const TIMEOUT_MS = 60_000;

interface Task extends Omit<StoreSettings, 'timeoutMs'> {
  readonly retentionMs: number;
  readonly retentionBytes: number;
  readonly trims: boolean;
  readonly graceMs: number;
  readonly unnamedMs: number | null;
  readonly dryRun: boolean;
}

try {
  const { retentionMs, retentionBytes, trims, graceMs, unnamedMs, dryRun, ...place } = JSON.parse(
    process.argv[2] ?? '',
  ) as Task;
  const store = await openStore({ ...place, timeoutMs: TIMEOUT_MS });
  const report = await cleanArchive({
    store,
    retentionMicros: retentionMs * 1000,
    retentionBytes,
    trims,
    graceMs,
    unnamedMs,
    dryRun,
    now: () => Date.now(),
  });
  store.close();
  process.stdout.write(`${JSON.stringify(report)}\n`);
} catch (error) {
  if (!(error instanceof MeridianError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
