/** Loaded into a replica before its own code: SIGUSR2 blocks its event loop for two seconds. */
const STALL_MS = 2_000;

process.on('SIGUSR2', () => {
  const end = performance.now() + STALL_MS;
  while (performance.now() < end) {
    // As a long garbage collection does: nothing else runs, and all clocks go on.
  }
});
