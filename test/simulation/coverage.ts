/**
 * Which faults and situations the seeds of a campaign must have had, or the campaign proves less than it says: each
 * with the counters of a run that show it. `npm run sim` fails when one of them stays at zero over many seeds; the
 * table in README.md says which fault of the catalogue is which.
 */
import { FAULTS } from './options.ts';
import { SYSTEM_FAULTS } from './system/system-options.ts';

const COUNTED = [
  'lost',
  'repeated',
  'haunted',
  'outages',
  'torn',
  'stalls',
  'abandoned',
  'retries',
  'repaired',
  'setAside',
  'unheard',
];

/** Above the instances. */
const SYSTEM_COUNTED = [
  'merged',
  'mergedReads',
  'transactions',
  'databaseFailures',
  'applierRestarts',
  'resumed',
  'joins',
  'leaves',
  'manifests',
  'trims',
  'storeCalls',
  'storeFailures',
  'damagedReads',
  'archiveFetches',
  'wishes',
  'answers',
  'duplicates',
  'actions',
  'looks',
  'streamReads',
  'gaps',
];

/** What no seed has had. */
export function uncovered(counts: Readonly<Record<string, number>>, system: boolean): string[] {
  const wanted = system ? [...SYSTEM_FAULTS, ...SYSTEM_COUNTED] : [...FAULTS, ...COUNTED];
  return wanted.filter((name) => (counts[name] ?? 0) === 0);
}
