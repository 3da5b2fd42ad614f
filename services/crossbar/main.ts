/**
 * The command of a crossbar. Exit codes: 0 stopped as told, 1 refused to start, 70 crashed,
 * 78 configuration. Keeps nothing on disk: to move or restart it costs its subscribers a moment.
 */
import { EXIT_CONFIG, loadConfigOrExit } from '../../libs/config/config.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { exitWithParent } from '../../libs/processes/exit-with-parent.ts';
import { keepHeapHeadroom } from '../../libs/processes/heap-headroom.ts';
import { EXIT_SOFTWARE, installCrashHandlers } from '../../libs/telemetry/crash.ts';
import { createLogger } from '../../libs/telemetry/logger.ts';
import { crossbarSchema } from './config.ts';
import { startCrossbarServer } from './server.ts';

const EXIT_REFUSED = 1;

const config = loadConfigOrExit({
  schema: crossbarSchema,
  name: 'meridian crossbar',
  argv: process.argv.slice(2),
  env: process.env,
});
const logger = createLogger({
  service: 'crossbar',
  region: config.region,
  level: config.logLevel,
});
installCrashHandlers(logger);
exitWithParent();
keepHeapHeadroom();

try {
  const server = await startCrossbarServer({
    config,
    logger,
    fatal: (error) => {
      logger.fatal({ error }, 'stopping: what was received cannot be passed on');
      const configured = error instanceof MeridianError && error.reason === 'REFUSED';
      process.exit(configured ? EXIT_CONFIG : EXIT_SOFTWARE);
    },
  });
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) process.exit(EXIT_REFUSED);
    stopping = true;
    logger.info({ signal }, 'stopping');
    void server.stop().then(() => {
      logger.info('stopped');
      process.exit(0);
    });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
} catch (error) {
  if (!(error instanceof MeridianError)) throw error;
  logger.fatal({ reason: error.reason, details: error.details }, error.message);
  process.stderr.write(`meridian crossbar: ${error.message}\n`);
  process.exit(EXIT_REFUSED);
}
