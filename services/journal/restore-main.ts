/**
 * `node dist/services/journal/restore-main.js '<json>'`: builds a data directory from an archive and prints
 * what it is as one JSON line. The argument has url, directory, replica, generation and, for a bucket,
 * region, endpoint, pathStyle; keysFile when it is sealed. Exit codes: 0 restored, 1 refused, with the reason.
 */
import { openStore } from '../../libs/archive/open-store.ts';
import type { StoreSettings } from '../../libs/archive/open-store.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { systemClocks } from './clocks.ts';
import { restoreReplica } from './restore.ts';

const TIMEOUT_MS = 60_000;

interface Task extends Omit<StoreSettings, 'timeoutMs'> {
  readonly directory: string;
  readonly replica: ReplicaId;
  readonly generation: number;
}

try {
  const { directory, replica, generation, ...place } = JSON.parse(process.argv[2] ?? '') as Task;
  const store = await openStore({ ...place, timeoutMs: TIMEOUT_MS });
  const wall = systemClocks().wall();
  const restored = await restoreReplica({ store, directory, replica, generation, wall });
  store.close();
  process.stdout.write(`${JSON.stringify(restored)}\n`);
} catch (error) {
  if (!(error instanceof MeridianError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
