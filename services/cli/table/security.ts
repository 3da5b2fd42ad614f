/** Certificates and tokens. None of these commands talks to a journal. */
import type { CommandSpec, OptionSpec } from '../spec.ts';

const DIRECTORY: OptionSpec = {
  name: 'directory',
  short: 'd',
  placeholder: 'path',
  value: { kind: 'path' },
  help: 'Where the files are: ca.pem and ca.key, and a pair for each certificate.',
  defaultText: 'pki',
};
const DAYS = (defaultText: string): OptionSpec => ({
  name: 'days',
  placeholder: 'n',
  value: { kind: 'count', least: 1, most: 36_500 },
  help: 'How long it is good.',
  defaultText,
});
const TOKEN_FILE: OptionSpec = {
  name: 'token-file',
  placeholder: 'file',
  value: { kind: 'path' },
  required: true,
  help: 'The token.',
};
const scope = (required: boolean): OptionSpec[] => [
  {
    name: 'operation',
    placeholder: 'name',
    value: {
      kind: 'choice',
      choices: ['append', 'fence', 'read', 'tail', 'trim', 'streams', 'status'],
    },
    repeated: true,
    required,
    help: 'What it may do; may be given several times.',
  },
  {
    name: 'stream',
    placeholder: 'name',
    value: { kind: 'text' },
    repeated: true,
    required,
    help: 'On which stream, or all that begin so (`orders.*`); may be given several times.',
  },
  {
    name: 'valid-for',
    placeholder: 'duration',
    value: { kind: 'duration', leastMs: 1_000, mostMs: 366 * 86_400_000 },
    required,
    help: 'How long it is good.',
  },
];
const FILES = [
  { name: 'certificate', help: 'file of the certificate' },
  { name: 'key', help: 'file of its key' },
  { name: 'validTo', help: 'until when it is good, ISO 8601' },
];
const TOKEN_FIELDS = [
  { name: 'id', help: 'its id, for access.revokedTokens' },
  { name: 'cluster', help: 'the cluster it is for' },
  { name: 'principal', help: 'who it stands for' },
  { name: 'expiresAt', help: 'until when it is good, ISO 8601' },
  { name: 'scopes', help: 'list of operations, streams, expiresAt: what each link allows' },
];

export const SECURITY_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['certs', 'authority'],
    summary: 'Make a certificate authority',
    about: [
      'Writes ca.pem, which everybody trusts, and ca.key, which makes certificates: keep that one where no ' +
        'service runs. For development, and for clusters without an authority of their own.',
    ],
    options: [
      DIRECTORY,
      DAYS('3650'),
      {
        name: 'name',
        placeholder: 'text',
        value: { kind: 'text' },
        help: 'Name of the authority.',
        defaultText: 'Meridian',
      },
    ],
    connects: false,
    json: { form: 'document', fields: FILES },
    examples: [
      { text: 'Ten years', command: 'meridian certs authority' },
      { text: 'Elsewhere', command: 'meridian certs authority --directory /secure/pki --days 365' },
    ],
    load: async () => ({ run: (await import('../commands/certs.ts')).authority }),
  },
  {
    path: ['certs', 'issue'],
    summary: 'Make a certificate of somebody in a cluster',
    about: [
      'The principal is role/name: replica/INSTANCE/REGION, crossbar/REGION, sidecar/NAME, applier/NAME, ' +
        'client/NAME or admin/NAME. It becomes the one URI in the certificate by which Meridian knows its ' +
        'bearer; host names do not matter. Run again, it renews: the files are replaced, and whoever uses ' +
        'them takes the new ones at its next connection.',
    ],
    args: [{ name: 'principal', help: 'Who it is for.' }],
    options: [
      {
        name: 'cluster',
        placeholder: 'name',
        value: { kind: 'text' },
        required: true,
        help: 'The cluster in which it counts.',
      },
      DIRECTORY,
      DAYS('30'),
      {
        name: 'trust-domain',
        placeholder: 'name',
        value: { kind: 'text' },
        help: 'First part of the URI.',
        defaultText: 'meridian',
      },
      {
        name: 'host',
        placeholder: 'name',
        value: { kind: 'text' },
        repeated: true,
        help: 'Host name or address, for other programs that look for one.',
      },
    ],
    connects: false,
    json: {
      form: 'document',
      fields: [...FILES, { name: 'uri', help: 'the name in the certificate' }],
    },
    examples: [
      {
        text: 'For a replica',
        command: 'meridian certs issue replica/orders/eu-west-1 --cluster prod',
      },
      {
        text: 'For a client, a week',
        command: 'meridian certs issue client/web --cluster prod --days 7',
      },
    ],
    load: async () => ({ run: (await import('../commands/certs.ts')).issue }),
  },
  {
    path: ['certs', 'show'],
    asks: true,
    summary: 'Say whom a certificate names, and until when',
    about: ['Exits with 1 when it is no certificate that Meridian takes.'],
    args: [{ name: 'file', value: { kind: 'path' }, help: 'PEM.' }],
    connects: false,
    json: {
      form: 'document',
      fields: [
        { name: 'cluster', help: 'the cluster' },
        { name: 'principal', help: 'whom it names' },
        { name: 'validFrom', help: 'from when it is good' },
        { name: 'validTo', help: 'until when it is good, ISO 8601' },
        { name: 'issuer', help: 'who made it' },
      ],
    },
    examples: [
      { text: 'Look', command: 'meridian certs show pki/client-web.pem' },
      { text: 'For a script', command: 'meridian certs show pki/client-web.pem --output json' },
    ],
    load: async () => ({ run: (await import('../commands/certs.ts')).show }),
  },
  {
    path: ['token', 'secret'],
    summary: 'Make a secret that signs tokens',
    about: [
      'Adds a line in front of the file, or makes it, mode 0600. Every service of the cluster gets the file ' +
        '(access.tokenSecretFile) and is started again. The first line signs, all lines count: to change a ' +
        'secret, add a line everywhere, and take the old one away when its tokens have expired.',
    ],
    args: [{ name: 'file', value: { kind: 'path' }, help: 'Where it is kept.' }],
    connects: false,
    json: { form: 'document', fields: [{ name: 'file', help: 'the file' }] },
    examples: [
      { text: 'A new one', command: 'meridian token secret tokens.secret' },
      { text: 'One more', command: 'meridian token secret tokens.secret --quiet' },
    ],
    load: async () => ({ run: (await import('../commands/token.ts')).secret }),
  },
  {
    path: ['token', 'create'],
    summary: 'Make a token for a client without a certificate',
    about: [
      'Prints it once; it is kept nowhere. It is all that its bearer needs to do what it says, so hand it over ' +
        'as a file that others cannot read.',
    ],
    options: [
      {
        name: 'secret-file',
        placeholder: 'file',
        value: { kind: 'path' },
        required: true,
        help: 'The secret of the cluster.',
      },
      {
        name: 'cluster',
        placeholder: 'name',
        value: { kind: 'text' },
        required: true,
        help: 'The cluster in which it counts.',
      },
      {
        name: 'name',
        placeholder: 'name',
        value: { kind: 'text' },
        required: true,
        help: 'Whose it is; its bearer is client/NAME.',
      },
      ...scope(true),
    ],
    connects: false,
    json: {
      form: 'document',
      fields: [{ name: 'token', help: 'the token' }, ...TOKEN_FIELDS],
    },
    examples: [
      {
        text: 'May append to a group of streams for a day',
        command:
          "meridian token create --secret-file tokens.secret --cluster prod --name web --operation append --stream 'web.*' --valid-for 24h",
      },
      {
        text: 'May look at everything for an hour',
        command:
          "meridian token create --secret-file tokens.secret --cluster prod --name look --operation read --operation tail --stream '*' --valid-for 1h",
      },
    ],
    load: async () => ({ run: (await import('../commands/token.ts')).create }),
  },
  {
    path: ['token', 'narrow'],
    summary: 'Make of a token one that may do less',
    about: [
      'Needs no secret: whoever holds a token can hand on a part of what it allows, and never more, whatever ' +
        'is asked for here.',
    ],
    options: [TOKEN_FILE, ...scope(false)],
    connects: false,
    json: { form: 'document', fields: [{ name: 'token', help: 'the token' }, ...TOKEN_FIELDS] },
    examples: [
      {
        text: 'Only one stream of it',
        command: 'meridian token narrow --token-file web.token --stream web.eu',
      },
      {
        text: 'Only for ten minutes',
        command: 'meridian token narrow --token-file web.token --valid-for 10m',
      },
    ],
    load: async () => ({ run: (await import('../commands/token.ts')).narrow }),
  },
  {
    path: ['token', 'show'],
    asks: true,
    summary: 'Say what a token allows',
    about: ['Without the secret, so not whether it is genuine.'],
    options: [TOKEN_FILE],
    connects: false,
    json: { form: 'document', fields: TOKEN_FIELDS },
    examples: [
      { text: 'Look', command: 'meridian token show --token-file web.token' },
      {
        text: 'Its id, to revoke it',
        command: 'meridian token show --token-file web.token -o json | jq .id',
      },
    ],
    load: async () => ({ run: (await import('../commands/token.ts')).show }),
  },
];
