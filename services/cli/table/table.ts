/**
 * The one table of commands, groups and topics. Its order is the order of the help. Light: commands are
 * imported only when they run.
 */
import type { CommandSpec, GroupSpec, OptionSpec } from '../spec.ts';
import { ARCHIVE_COMMANDS } from './archive.ts';
import { INSTANCE_COMMANDS } from './instances.ts';
import { LEASE_COMMANDS } from './leases.ts';
import { LOCAL_COMMANDS } from './local.ts';
import { OPERATION_COMMANDS } from './operations.ts';
import { CONNECTION_OPTIONS, GENERAL_OPTIONS } from './options.ts';
import { PG_COMMANDS } from './pg.ts';
import { RECORD_COMMANDS } from './records.ts';
import { SECURITY_COMMANDS } from './security.ts';
import { STREAM_COMMANDS } from './streams.ts';
import { TOPICS } from './topics.ts';

export { CONNECTION_OPTIONS, GENERAL_OPTIONS, TOPICS };

/** Options that may stand before the command. */
export const LEADING_OPTIONS: readonly OptionSpec[] = [...GENERAL_OPTIONS, ...CONNECTION_OPTIONS];

export const SECTIONS: readonly {
  readonly title: string;
  readonly commands: readonly CommandSpec[];
}[] = [
  { title: 'Records', commands: RECORD_COMMANDS },
  { title: 'Streams and writers', commands: STREAM_COMMANDS },
  { title: 'Leases', commands: LEASE_COMMANDS },
  { title: 'Operations', commands: OPERATION_COMMANDS },
  { title: 'Instances of a database', commands: INSTANCE_COMMANDS },
  { title: 'Archives', commands: ARCHIVE_COMMANDS },
  { title: 'Certificates and tokens', commands: SECURITY_COMMANDS },
  { title: 'Postgres', commands: PG_COMMANDS },
  { title: 'This machine', commands: LOCAL_COMMANDS },
];

const GROUPS: readonly GroupSpec[] = [
  { name: 'streams', summary: 'Streams: list, create, describe, configure and delete them.' },
  { name: 'lease', summary: 'The lease of a stream: who may write to it, for how long.' },
  {
    name: 'instances',
    summary: 'The instances that make up a database: list, join, leave, renew.',
  },
  { name: 'archive', summary: 'Archives: what is in one, who holds it, deleting there.' },
  { name: 'certs', summary: 'Certificates: an authority, and those it makes.' },
  { name: 'token', summary: 'Tokens of clients without a certificate.' },
  {
    name: 'pg',
    summary: 'Databases that follow a stream: which is the primary, and changing that.',
  },
];

export const TABLE: {
  readonly commands: readonly CommandSpec[];
  readonly groups: readonly GroupSpec[];
} = {
  commands: SECTIONS.flatMap(({ commands }) => commands),
  groups: GROUPS,
};

/** All options of a command, its own first. */
export function optionsOf(command: CommandSpec): readonly OptionSpec[] {
  const connection = command.connects ? CONNECTION_OPTIONS : [];
  return [...(command.options ?? []), ...connection, ...GENERAL_OPTIONS];
}
