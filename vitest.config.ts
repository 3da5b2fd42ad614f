import { defineConfig } from 'vitest/config';

/** Tests of more than one part that start no process: they run, and count, as unit tests. */
const PURE = ['test/layout', 'test/scenarios', 'test/simulation', 'test/fuzz'];

/**
 * Real processes for half a minute and more, on a busy machine at least, each deepening what another test or a
 * chaos scenario tries as well, and what needs a browser: not part of a plain `npm test`, but of
 * `npm test -- --nightly`.
 */
const LONG = [
  'test/applier/kv.test.ts',
  'test/archive/real-store.test.ts',
  'test/console/console.test.ts',
  'test/crossbar/resume.test.ts',
  'test/drills/members.test.ts',
  'test/drills/operations.test.ts',
  'test/drills/rolling-upgrade.test.ts',
  'test/journal/archive.test.ts',
  'test/journal/clocks.test.ts',
  'test/journal/contradicted.test.ts',
  'test/journal/flood.test.ts',
  'test/journal/forwarding.test.ts',
  'test/journal/keepers.test.ts',
  'test/journal/rolled-back.test.ts',
  'test/journal/secure.test.ts',
  'test/journal/witness.test.ts',
  'test/local/start.test.ts',
  'test/postgres/failover.test.ts',
  'test/postgres/newest.test.ts',
  'test/postgres/secure.test.ts',
];

/** One file at a time: two clusters on one machine delay each other beyond a seal timeout. */
const REAL_PROCESSES = { testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['libs', 'services', 'chaos', ...PURE].map((folder) => `${folder}/**/*.test.ts`),
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: [...[...PURE, 'test/terraform'].map((folder) => `${folder}/**`), ...LONG],
          ...REAL_PROCESSES,
        },
      },
      { test: { name: 'long', include: LONG, ...REAL_PROCESSES } },
      {
        test: {
          name: 'terraform',
          include: ['test/terraform/**/*.test.ts'],
          ...REAL_PROCESSES,
        },
      },
    ],
  },
});
