/**
 * The command of a replica: `format` makes the data directory of a new instance's replica, anything
 * else runs it. Exit codes: 0 stopped as told, 1 refused to start, 70 crashed, 78 configuration.
 */
import { loadConfigOrExit } from '../../libs/config/config.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { exitWithParent } from '../../libs/processes/exit-with-parent.ts';
import { keepHeapHeadroom } from '../../libs/processes/heap-headroom.ts';
import { EXIT_SOFTWARE, installCrashHandlers } from '../../libs/telemetry/crash.ts';
import { createLogger } from '../../libs/telemetry/logger.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { systemClocks } from './clocks.ts';
import { journalSchema } from './config.ts';
import type { JournalConfig } from './config.ts';
import type { OpenOptions } from './open-log.ts';
import { makeLog } from './recovery.ts';
import { identityOf, startReplica } from './replica.ts';
import type { Replica } from './replica.ts';
import type { Restart } from './upkeep.ts';

const EXIT_REFUSED = 1;

// The log holds everybody's records: what is written here is for its owner alone.
process.umask(0o077);

const [first = '', ...rest] = process.argv.slice(2);
const command = first.startsWith('-') || first === '' ? 'run' : first;
const argv = command === first ? rest : process.argv.slice(2);
if (command !== 'run' && command !== 'format') {
  process.stderr.write(`unknown command ${command}; there are: run, format\n`);
  process.exit(EXIT_REFUSED);
}
const config: JournalConfig = loadConfigOrExit({
  schema: journalSchema,
  name: `meridian journal ${command}`,
  argv,
  env: process.env,
});
const { instance, replica, region, logLevel } = config;
const logger = createLogger({ service: 'journal', region, level: logLevel }).child({
  instance,
  replica,
});

try {
  await (command === 'format' ? format() : run());
} catch (error) {
  if (!(error instanceof MeridianError)) throw error;
  logger.fatal({ reason: error.reason, details: error.details }, error.message);
  process.stderr.write(`meridian journal: ${error.message}\n`);
  process.exit(EXIT_REFUSED);
}

async function format(): Promise<void> {
  await makeLog({
    directory: config.dataDirectory,
    identity: identityOf(config),
    self: config.replica,
    incarnation: systemClocks().wall(),
    voting: true,
  });
  logger.info({ directory: config.dataDirectory }, 'formatted');
}

async function run(): Promise<void> {
  installCrashHandlers(logger);
  exitWithParent();
  keepHeapHeadroom();
  const fatal = crashWith(logger);
  let stopping = false;
  const start = (anew: OpenOptions['anew']): Promise<Replica> =>
    startReplica({ config, logger, fatal, onRestart, anew });
  const onRestart = (how: Restart): void => {
    if (stopping) return;
    running = running.then(async (replicaBefore) => {
      await replicaBefore.stop();
      return start(how.kind === 'anew' ? how : null);
    });
    running.catch((error: unknown) => {
      fatal(error, 'the replica cannot start again');
    });
  };
  // One start after the other; a signal stops the last of them.
  let running = start(null);
  await running;
  const stop = (signal: string): void => {
    if (stopping) {
      logger.warn({ signal }, 'second signal: stopping at once');
      process.exit(EXIT_REFUSED);
    }
    stopping = true;
    logger.info({ signal }, 'stopping');
    void running
      .then((last) => last.stop())
      .then(() => {
        logger.info('stopped');
        process.exit(0);
      });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** Logged once; whatever else goes wrong on the way out is the same failure. */
function crashWith(log: Logger): (error: unknown, what: string) => void {
  let crashed = false;
  return (error, what) => {
    if (crashed) return;
    crashed = true;
    log.fatal({ error: error instanceof Error ? error : new Error(String(error)) }, what);
    process.exit(EXIT_SOFTWARE);
  };
}
