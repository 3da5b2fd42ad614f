/** Options that many commands share, and the fields that say where a record stands. */
import type { FieldSpec, OptionSpec } from '../spec.ts';

/** Every command has these. */
export const GENERAL_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'output',
    short: 'o',
    placeholder: 'form',
    value: { kind: 'choice', choices: ['human', 'json'] },
    help: 'Text for people, or JSON for programs.',
    defaultText: 'human',
    environment: 'MERIDIAN_OUTPUT',
  },
  {
    name: 'quiet',
    short: 'q',
    help: 'No notes; of a result only the bare value, where there is one.',
  },
  { name: 'help', short: 'h', help: 'Tell what the command means and do nothing.' },
];

/** Which journal; every command that talks to one has these. */
export const CONNECTION_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'cluster',
    placeholder: 'name',
    value: { kind: 'text' },
    help: 'Name of the cluster; a replica of another one refuses the call.',
    environment: 'MERIDIAN_CLUSTER',
  },
  {
    name: 'instance',
    placeholder: 'name',
    value: { kind: 'text' },
    help: 'Name of the journal instance in the cluster.',
    environment: 'MERIDIAN_INSTANCE',
  },
  {
    name: 'replicas',
    placeholder: 'region=host:port,…',
    value: { kind: 'text' },
    help: 'The client ports of its replicas, nearest first.',
    environment: 'MERIDIAN_REPLICAS',
  },
  {
    name: 'region',
    placeholder: 'name',
    value: { kind: 'text' },
    help: 'The region to prefer; the others are used when it fails.',
    defaultText: 'the first of --replicas',
    environment: 'MERIDIAN_REGION',
  },
  {
    name: 'deadline',
    placeholder: 'duration',
    value: { kind: 'duration', leastMs: 1, mostMs: 86_400_000 },
    help: 'How long a call is tried, over all regions, before it fails.',
    defaultText: '30s',
  },
  {
    name: 'tls-ca',
    placeholder: 'file',
    value: { kind: 'path' },
    help: 'The authorities that are trusted, PEM; without it, calls go in the clear.',
    environment: 'MERIDIAN_TLS_CA',
  },
  {
    name: 'tls-certificate',
    placeholder: 'file',
    value: { kind: 'path' },
    help: 'The own certificate, PEM.',
    environment: 'MERIDIAN_TLS_CERTIFICATE',
  },
  {
    name: 'tls-key',
    placeholder: 'file',
    value: { kind: 'path' },
    help: 'Its key, PEM, mode 0600.',
    environment: 'MERIDIAN_TLS_KEY',
  },
  {
    name: 'token-file',
    placeholder: 'file',
    value: { kind: 'path' },
    help: 'A token instead of a certificate, mode 0600; or the token itself in MERIDIAN_TOKEN.',
    environment: 'MERIDIAN_TOKEN_FILE',
  },
  {
    name: 'context',
    placeholder: 'name',
    value: { kind: 'text' },
    help: 'A context of the configuration file, instead of the environment.',
    environment: 'MERIDIAN_CONTEXT',
  },
  {
    name: 'config',
    placeholder: 'file',
    value: { kind: 'path' },
    help: 'The configuration file.',
    defaultText: '~/.config/meridian/config.yaml',
    environment: 'MERIDIAN_CONFIG',
  },
];

export const ENCODING_CHOICES = ['utf8', 'base64', 'hex'] as const;

export const TIMESTAMP_FIELDS: readonly FieldSpec[] = [
  { name: 'timestamp', help: "microseconds since 1970 on the journal's clock; 0 for none" },
  { name: 'time', help: 'the same as ISO 8601; null for none' },
];
