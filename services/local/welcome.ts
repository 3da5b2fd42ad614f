/**
 * What `npm start` says once everything runs: how to get at each part of it. Only commands that work as they
 * stand, also the second time.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { DATABASE, psqlCommand, roleOf } from './postgres-members.ts';
import type { Ports, Region } from './topology.ts';
import { REGIONS } from './topology.ts';

export interface WelcomeOptions {
  readonly ports: Ports;
  /** The state directory. */
  readonly path: string;
  /** A configuration file for the command `meridian`. */
  readonly contexts: string;
  /** Whether people have it: the Postgres that npm brings comes without. */
  readonly psql: boolean;
}

export function welcome({ ports, path, contexts, psql }: WelcomeOptions): string[] {
  const inRegion = (region: Region): string => psqlCommand(ports[region].postgres);
  return [
    '',
    'Meridian runs: three regions, two journal instances.',
    '',
    ...REGIONS.map((region) => {
      const { postgres } = ports[region];
      const url = `postgres://postgres@127.0.0.1:${String(postgres)}/${DATABASE}`;
      return `  ${region.toUpperCase()}  ${roleOf(region).padEnd(7)}  ${psql ? inRegion(region) : url}`;
    }),
    '',
    'A COMMIT in A returns when two regions have it on disk. Write in A, read in B or C what was committed',
    'anywhere before:',
    '',
    `  ${inRegion('a')} -c "INSERT INTO note (text) VALUES ('hello')"`,
    `  ${inRegion('b')} -c "SELECT meridian.wait_linearizable()" -c "SELECT * FROM note"`,
    ...(psql ? [] : ['', 'There is no psql on the PATH; every other client of Postgres will do.']),
    '',
    'Consoles: regions, links, lanes, streams; JSON over HTTP at the same address:',
    '',
    ...REGIONS.map((region) => {
      const { one, two } = ports[region].http;
      const [first, second] = [one, two].map((port) => `http://127.0.0.1:${String(port)}/`);
      return `  ${region.toUpperCase()}  journal one ${first ?? ''}  two ${second ?? ''}`;
    }),
    '',
    'The journals, in another terminal here (the second one: --context two):',
    '',
    `  npm run -s meridian -- status --config ${contexts}`,
    '',
    `State and logs: ${path}. Ctrl-C stops; npm start continues; --fresh starts over.`,
    '',
  ];
}

export function hasPsql(path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, 'psql'), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}
