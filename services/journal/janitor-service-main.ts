/**
 * The janitor as a service: `node dist/services/journal/janitor-service-main.js --config FILE` makes its rounds
 * through the archives until it is stopped. It runs with credentials of its own, the only ones that may delete;
 * on the machine of no replica. Exit codes: 0 stopped as told, 1 refused to start, 70 crashed, 78 configuration.
 */
import { openStore } from '../../libs/archive/open-store.ts';
import { loadConfigOrExit } from '../../libs/config/config.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { exitWithParent } from '../../libs/processes/exit-with-parent.ts';
import { installCrashHandlers } from '../../libs/telemetry/crash.ts';
import { serveKeepers } from '../../libs/telemetry/keepers.ts';
import { createLogger } from '../../libs/telemetry/logger.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { janitorSchema } from './janitor-config.ts';
import { addJanitorMetrics } from './janitor-metrics.ts';
import { JanitorRounds } from './janitor-rounds.ts';
import { VERSION } from './version.ts';

const EXIT_REFUSED = 1;

const config = loadConfigOrExit({
  schema: janitorSchema,
  name: 'meridian janitor',
  argv: process.argv.slice(2),
  env: process.env,
});
const logger = createLogger({ service: 'janitor', level: config.logLevel });
installCrashHandlers(logger);
exitWithParent();

try {
  const { archives, timeoutMs, roundMs, graceMs, unnamedMs, trims, retentionBytes } = config;
  const stores = await Promise.all(archives.map((place) => openStore({ ...place, timeoutMs })));
  const now = (): number => Date.now();
  const retentionMicros = config.retentionMs * 1000;
  const dryRun = false;
  const rules = { retentionMicros, retentionBytes, trims, graceMs, unnamedMs, dryRun, now };
  const rounds = new JanitorRounds({ stores, rules, roundMs, logger });
  const registry = new Registry();
  addJanitorMetrics(registry, rounds, now);
  await serveKeepers({
    service: 'janitor',
    version: VERSION,
    address: config.metricsListen,
    tls: null,
    forAnybody: false,
    registry,
    logger,
    notReady: () => null,
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      logger.info({ signal }, 'stopped');
      process.exit(0);
    });
  }
  logger.info({ archives: archives.map(({ url }) => url) }, 'making rounds');
  await rounds.run();
} catch (error) {
  if (!(error instanceof MeridianError)) throw error;
  logger.fatal({ reason: error.reason, details: error.details }, error.message);
  process.stderr.write(`meridian janitor: ${error.message}\n`);
  process.exit(EXIT_REFUSED);
}
