/**
 * For programs started by `spawnChild`: exit when the parent does. The parent keeps the other end of
 * stdin open for as long as it lives; when it ends, by whatever cause, this process gets SIGTERM
 * from itself and so goes through its own orderly shutdown. A program started by hand is not
 * affected: without the variable in the environment this does nothing.
 */

export const EXIT_WITH_PARENT = 'MERIDIAN_EXIT_WITH_PARENT';

/** Time for the orderly shutdown before the process ends at once. */
const GRACE_MS = 5_000;

export function exitWithParent(): void {
  if (process.env[EXIT_WITH_PARENT] !== '1') return;
  process.stdin.on('close', () => {
    setTimeout(() => process.exit(1), GRACE_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  process.stdin.on('error', () => process.stdin.destroy());
  process.stdin.resume();
  // Watching must not keep a program alive that has nothing left to do.
  process.stdin.unref();
}
