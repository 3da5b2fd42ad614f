/** Commands that need no journal, or bring one. */
import type { CommandSpec } from '../spec.ts';

export const LOCAL_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['dev'],
    summary: 'Run a journal on this machine',
    about: [
      'Three replicas as processes on loopback, until Ctrl-C: for trying things, and for the tests of a ' +
        'program. Each has a web console. With a command after --, runs it with MERIDIAN_CLUSTER, ' +
        'MERIDIAN_INSTANCE and MERIDIAN_REPLICAS in its environment and this program on its PATH, and ends ' +
        'with its exit code.',
      'Without --directory everything is thrown away at the end. With one, the journal is there again ' +
        'the next time, on the same ports, and <directory>/meridian.yaml is a configuration file for ' +
        'this program.',
    ],
    rest: { name: 'command…', help: 'What to run meanwhile.' },
    options: [
      {
        name: 'directory',
        short: 'd',
        placeholder: 'path',
        value: { kind: 'path' },
        help: 'Where the state is kept.',
        defaultText: 'a temporary one',
      },
      {
        name: 'regions',
        placeholder: 'a,b,c',
        value: { kind: 'text' },
        help: 'Names of the three regions.',
        defaultText: 'a,b,c',
      },
      {
        name: 'port',
        placeholder: 'n',
        value: { kind: 'count', least: 1024, most: 65_527 },
        help: 'First of nine ports in a row: three for clients, three for the replicas, three consoles.',
        defaultText: 'those of the last time, else free ones',
      },
    ],
    connects: false,
    json: {
      form: 'lines',
      fields: [
        { name: 'cluster', help: 'the cluster' },
        { name: 'instance', help: 'the instance' },
        { name: 'directory', help: 'where the state is' },
        { name: 'configFile', help: 'configuration file for --config' },
        { name: 'replicas', help: 'list of region, address, console, pid, dataDirectory, logFile' },
      ],
    },
    examples: [
      { text: 'A journal to play with', command: 'meridian dev' },
      { text: 'A shell in which all commands go to it', command: 'meridian dev -- bash' },
      { text: 'For the tests of a program', command: 'meridian dev -q -- npm test' },
    ],
    load: () => import('../commands/dev.ts'),
  },
  {
    path: ['bench'],
    summary: 'Measure appends',
    about: [
      'After some 20 seconds of warming up, one client appends with more and more appends under way, then at a ' +
        'fixed rate; prints a table, and ' +
        'with --output json one document of the figures. Latencies are corrected for coordinated omission.',
      'Against the journal that is meant; without one, or with --throw-away, against one that is ' +
        'started on this machine for it. It fills a stream of its own, bench-…, which stays.',
    ],
    options: [
      {
        name: 'throw-away',
        help: 'Start a journal on this machine for it, whatever is configured.',
      },
      {
        name: 'seconds',
        placeholder: 'n',
        value: { kind: 'count', least: 1, most: 3_600 },
        help: 'How long each step takes, seconds.',
        defaultText: '5',
      },
      {
        name: 'bytes',
        placeholder: 'size',
        value: { kind: 'bytes', least: 1, most: 1024 * 1024 },
        help: 'Size of a record.',
        defaultText: '1KiB',
      },
      {
        name: 'inflight',
        placeholder: 'n,n,…',
        value: { kind: 'text' },
        help: 'How many appends are under way, for each step.',
        defaultText: '1,16,64,256',
      },
      {
        name: 'ack',
        placeholder: 'ack',
        value: { kind: 'choice', choices: ['quorum', 'ordered'] },
        help: 'Only this acknowledgement.',
        defaultText: 'both',
      },
    ],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'bench', help: 'append' },
        { name: 'bytes', help: 'size of a record' },
        { name: 'seconds', help: 'of each step' },
        {
          name: 'rows',
          help:
            'list of ack, inflight or rate, recordsPerSecond, failures, latency (count, p50Ms, p90Ms, ' +
            'p99Ms, p999Ms, maxMs), where (where the time went; services/bench)',
        },
      ],
    },
    examples: [
      { text: 'This machine', command: 'meridian bench --throw-away --seconds 2' },
      { text: 'A journal, one step', command: 'meridian bench --ack ordered --inflight 64' },
    ],
    load: () => import('../commands/bench.ts'),
  },
  {
    path: ['completion'],
    asks: true,
    summary: 'Print a completion script for a shell',
    about: [
      'A script that completes commands, options and their choices. Load it in the start file of the ' +
        'shell.',
    ],
    args: [
      {
        name: 'shell',
        value: { kind: 'choice', choices: ['bash', 'zsh', 'fish'] },
        help: 'bash, zsh or fish.',
      },
    ],
    connects: false,
    json: null,
    examples: [
      { text: 'In ~/.bashrc', command: 'eval "$(meridian completion bash)"' },
      {
        text: 'For fish',
        command: 'meridian completion fish > ~/.config/fish/completions/meridian.fish',
      },
    ],
    load: () => import('../commands/completion.ts'),
  },
  {
    path: ['version'],
    asks: true,
    summary: 'Print the version, of this program or of the replicas',
    about: ['The version of this program; with --replicas-too also of each replica of a journal.'],
    options: [{ name: 'replicas-too', help: 'Ask the replicas for theirs.' }],
    connects: true,
    json: {
      form: 'document',
      fields: [
        { name: 'version', help: 'of this program' },
        { name: 'node', help: 'version of Node.js it runs on' },
        {
          name: 'replicas',
          help: 'with --replicas-too: list of region, version (null: no answer)',
        },
      ],
    },
    examples: [
      { text: 'This program', command: 'meridian version' },
      { text: 'Is an upgrade complete?', command: 'meridian version --replicas-too' },
    ],
    load: () => import('../commands/version.ts'),
  },
  {
    path: ['help'],
    asks: true,
    summary: 'Tell what a command or a topic means',
    about: [
      'Without a word: all commands. With a command: what it means, its options with units and ' +
        'defaults, exit codes, JSON fields and examples. Topics: endpoints, exit-codes.',
    ],
    args: [{ name: 'word', help: 'Command, group or topic.', optional: true, repeated: true }],
    connects: false,
    json: null,
    examples: [
      { text: 'One command', command: 'meridian help append' },
      { text: 'What exit codes mean', command: 'meridian help exit-codes' },
    ],
    load: () => import('../commands/help.ts'),
  },
];
