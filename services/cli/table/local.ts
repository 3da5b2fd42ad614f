/** Commands that need no journal, or bring one. */
import type { CommandSpec } from '../spec.ts';

export const LOCAL_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['completion'],
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
