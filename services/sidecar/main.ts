/** The command of a sidecar. Exit codes: README.md. */
import { loadConfigOrExit } from '../../libs/config/config.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { exitWithParent } from '../../libs/processes/exit-with-parent.ts';
import { keepHeapHeadroom } from '../../libs/processes/heap-headroom.ts';
import { openSecurity } from '../../libs/security/security.ts';
import type { Security } from '../../libs/security/security.ts';
import { auditTo } from '../../libs/telemetry/audit.ts';
import { EXIT_SOFTWARE, installCrashHandlers } from '../../libs/telemetry/crash.ts';
import { createLogger } from '../../libs/telemetry/logger.ts';
import { sidecarSchema } from './config.ts';
import { CrossbarFeed } from './crossbar-feed.ts';
import { InstanceJournal } from './journal-client.ts';
import { Sidecar } from './sidecar.ts';

const EXIT_REFUSED = 1;
process.umask(0o077);
const EXIT_FENCED = 3;

const config = loadConfigOrExit({
  schema: sidecarSchema,
  name: 'meridian sidecar',
  argv: process.argv.slice(2),
  env: process.env,
});
const logger = createLogger({
  service: 'sidecar',
  region: config.region,
  level: config.logLevel,
});
installCrashHandlers(logger);
exitWithParent();
keepHeapHeadroom();

let security: Security | null = null;
try {
  const self = { cluster: config.cluster, role: 'sidecar' } as const;
  security = openSecurity(config, self, auditTo(logger));
} catch (error) {
  if (!(error instanceof MeridianError)) throw error;
  logger.fatal({ reason: error.reason }, error.message);
  process.stderr.write(`meridian sidecar: ${error.message}\n`);
  process.exit(EXIT_REFUSED);
}
if (security === null && config.tls.plaintextBeyondLoopback) {
  logger.warn('DANGEROUS: served in the clear; whoever reaches the port may do everything');
}
const instance = new InstanceJournal(config, security);
const ships = config.roles.includes('ship');
const applies = config.roles.includes('apply');
const merged =
  applies && config.apply.crossbars.length > 0 ? new CrossbarFeed(config, security) : null;
const sidecar = new Sidecar({
  config,
  logger,
  security,
  shipTo: ships ? instance : null,
  applyFrom: applies ? (merged ?? instance) : null,
});

let stopping = false;
const stop = (code: number): void => {
  if (stopping) process.exit(code === 0 ? EXIT_REFUSED : code);
  stopping = true;
  void sidecar.stop().then(async () => {
    merged?.close();
    await instance.close();
    logger.info({ code }, 'stopped');
    process.exit(code);
  });
};
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    logger.info({ signal }, 'stopping');
    stop(0);
  });
}

/** A role, or the start, has failed for good. */
function fail(error: unknown): void {
  if (!(error instanceof MeridianError)) {
    logger.fatal({ error }, 'stopping: unexpected error');
    process.exit(EXIT_SOFTWARE);
  }
  const { reason, details } = error;
  logger.fatal({ reason, details }, error.message);
  process.stderr.write(`meridian sidecar: ${error.message}\n`);
  stop(reason === 'WRITER_FENCED' || reason === 'FENCED' ? EXIT_FENCED : EXIT_REFUSED);
}

try {
  await sidecar.start(fail);
} catch (error) {
  fail(error);
}
