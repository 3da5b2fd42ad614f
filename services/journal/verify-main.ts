/**
 * `node dist/services/journal/verify-main.js <directory>`: prints the report of verify.ts as one JSON
 * line. A program of its own, because it must run where no replica is configured. Exit codes: 0 sound,
 * 9 findings, 1 there is nothing to look at.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { verifyDirectory } from './verify.ts';

const EXIT_NOTHING = 1;
const EXIT_FINDINGS = 9;

const [directory, ...more] = process.argv.slice(2);
if (directory === undefined || more.length > 0) {
  process.stderr.write('usage: verify-main.js <data directory>\n');
  process.exit(EXIT_NOTHING);
}
try {
  const report = verifyDirectory(directory);
  process.stdout.write(`${JSON.stringify(report)}\n`);
  process.exitCode = report.sound ? 0 : EXIT_FINDINGS;
} catch (error) {
  if (!(error instanceof MeridianError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = EXIT_NOTHING;
}
