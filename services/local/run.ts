/**
 * `npm start`: brings the local cluster up, says how to connect, shows the live view, and takes
 * everything down again on Ctrl-C. The state stays, so that the next start continues.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Interrupt } from './interrupt.ts';
import { writeContexts } from './journals.ts';
import { buildLocalCluster } from './local-cluster.ts';
import type { LocalCluster } from './local-cluster.ts';
import type { Options } from './options.ts';
import { openScreen } from './screen.ts';
import type { Output, Screen } from './screen.ts';
import { defaultDirectory, openStateDirectory } from './state-directory.ts';
import { StatusPoller } from './status.ts';
import { Reads } from './reads.ts';
import { choosePorts } from './topology.ts';
import { startTraffic } from './traffic.ts';
import { renderLine, renderView } from './view.ts';
import { hasPsql, welcome } from './welcome.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const VIEW_EVERY_MS = 500;

/** Returns when everything has stopped. */
export async function run(options: Options, output: Output, interrupt: Interrupt): Promise<void> {
  const state = openStateDirectory(options.directory ?? defaultDirectory(ROOT), options.fresh);
  const screen = openScreen(output, options.plain);
  let cluster: LocalCluster | null = null;
  try {
    const ports = await choosePorts(options.firstPort, state.ports);
    state.savePorts(ports);
    screen.print(`starting three regions; state and logs are in ${state.path}`);
    cluster = await buildLocalCluster({
      directory: state.path,
      ports,
      onEvent: (text) => {
        screen.print(text);
      },
    });
    await Promise.race([cluster.supervisor.start(), interrupt.happened]);
    if (!interrupt.isSet()) {
      const contexts = writeContexts(state.path, ports);
      const psql = hasPsql(process.env['PATH'] ?? '');
      for (const line of welcome({ ports, path: state.path, contexts, psql })) screen.print(line);
      await watch(cluster, options, screen, interrupt);
    }
  } finally {
    screen.close();
    if (cluster !== null) {
      output.write('stopping\n');
      await cluster.supervisor.stop();
    }
    state.unlock();
  }
  output.write(`stopped; the state stays in ${state.path}\n`);
}

async function watch(
  cluster: LocalCluster,
  options: Options,
  screen: Screen,
  interrupt: Interrupt,
): Promise<void> {
  const startedAt = performance.now();
  const stopTraffic = options.traffic ? await startTraffic(cluster) : null;
  const reads = new Reads(cluster);
  const poller = new StatusPoller({
    ports: cluster.ports,
    read: (region) => reads.read(region),
    isPostgresUp: (region) => cluster.isPostgresUp(region),
  });
  try {
    while (!interrupt.isSet()) {
      const regions = await poller.poll();
      const uptimeMs = performance.now() - startedAt;
      const view = { wallClockMs: Date.now(), uptimeMs, regions };
      screen.show({ lines: renderView(view), summary: renderLine(view) });
      await Promise.race([pause(VIEW_EVERY_MS), interrupt.happened]);
    }
  } finally {
    poller.close();
    await reads.close();
    await stopTraffic?.();
  }
}
