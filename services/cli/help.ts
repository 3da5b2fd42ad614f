/**
 * Help as text, from the table: the overview, and for each command what it means, its options with
 * units and defaults, its exit codes, its JSON fields, and examples that work.
 */
import { expectation } from './arguments.ts';
import { wrapped } from './columns.ts';
import { EXIT_MEANINGS } from './exit-codes.ts';
import type { ArgumentSpec, CommandSpec, OptionSpec } from './spec.ts';
import { CONNECTION_OPTIONS, GENERAL_OPTIONS, SECTIONS, TABLE, TOPICS } from './table/table.ts';

const WIDTH = 96;

export function overview(): string {
  const sections = SECTIONS.map(({ title, commands }) => {
    const width = Math.max(
      ...SECTIONS.flatMap((s) => s.commands.map(({ path }) => nameOf(path).length)),
    );
    const lines = commands.map(
      ({ path, summary }) => `  ${nameOf(path).padEnd(width)}  ${summary}\n`,
    );
    return `${title}\n${lines.join('')}`;
  });
  return `Usage: meridian <command> [options]

Meridian is a journal in three regions: what is appended is on disk in two of them before it is
acknowledged, and every region reads the same records in the same order.

${sections.join('\n')}
Start here:
  meridian dev                          a journal on this machine, until Ctrl-C
  meridian help <command>               what a command means, with examples
  meridian help ${TOPICS.map(({ name }) => name).join(' | ')}
`;
}

export function commandHelp(command: CommandSpec): string {
  const { about, args = [], rest, examples, json } = command;
  const parts = [
    `Usage: ${synopsis(command)}\n`,
    about.map((paragraph) => wrapped(paragraph, WIDTH)).join('\n'),
  ];
  const named = [...args, ...(rest === undefined ? [] : [rest])];
  if (named.length > 0) parts.push(`Arguments\n${named.map(argumentHelp).join('')}`);
  if ((command.options ?? []).length > 0) parts.push(optionsHelp('Options', command.options ?? []));
  if (command.connects) parts.push(optionsHelp('Which journal', CONNECTION_OPTIONS));
  parts.push(optionsHelp('General', GENERAL_OPTIONS));
  if (json !== null) {
    const form = json.form === 'document' ? 'one document' : 'one value a line';
    const fields = json.fields.map(({ name, help }) => definition(name, help)).join('');
    parts.push(`With --output json (${form})\n${fields}`);
  }
  const exits = (command.exits ?? []).map(({ code, help }) => definition(String(code), help));
  if (exits.length > 0) {
    parts.push(
      `Exit codes, besides those of every command (meridian help exit-codes)\n${exits.join('')}`,
    );
  }
  const shown = examples.map(({ text, command: line }) => `  # ${text}\n  ${line}\n`);
  parts.push(`Examples\n${shown.join('\n')}`);
  return parts.join('\n');
}

/** `meridian help endpoints` and the like; null when there is no such topic. */
export function topicHelp(name: string): string | null {
  const topic = TOPICS.find((each) => each.name === name);
  if (topic === undefined) return null;
  if (name !== 'exit-codes') return topic.text;
  return (
    topic.text + EXIT_MEANINGS.map(({ code, help }) => definition(String(code), help)).join('')
  );
}

/** Of every command of a group, `meridian help streams`. */
export function groupHelp(name: string): string {
  const group = TABLE.groups.find((each) => each.name === name);
  const commands = TABLE.commands.filter(({ path }) => path[0] === name);
  const lines = commands.map(
    ({ path, summary }) => `  meridian ${path.join(' ').padEnd(20)}  ${summary}\n`,
  );
  return `${group?.summary ?? ''}\n\n${lines.join('')}\n\`meridian help ${name} <command>\` tells more.\n`;
}

export function synopsis(command: CommandSpec): string {
  const { path, args = [], options = [], rest } = command;
  const words = ['meridian', ...path, ...args.map(argumentText)];
  for (const option of options) {
    const text = option.required === true ? optionText(option) : `[${optionText(option)}]`;
    words.push(option.repeated === true ? `${text}…` : text);
  }
  if (rest !== undefined) words.push(`-- ${rest.name}`);
  const [line, ...more] = wrapped(words.join(' '), WIDTH - 7)
    .trimEnd()
    .split('\n');
  return [line, ...more.map((each) => `         ${each}`)].join('\n');
}

export function optionText({ name, value, placeholder }: OptionSpec): string {
  return value === undefined ? `--${name}` : `--${name} <${placeholder ?? 'value'}>`;
}

export function argumentText({ name, optional, repeated }: ArgumentSpec): string {
  const text = `<${name}>${repeated === true ? '…' : ''}`;
  return optional === true ? `[${text}]` : text;
}

/** What there is to say about an option: meaning, form, default, environment. */
export function optionNotes(option: OptionSpec): string {
  const { help, value, defaultText, environment, repeated, required } = option;
  const notes = [help];
  const isPlain = value === undefined || value.kind === 'text' || value.kind === 'path';
  if (!isPlain) notes.push(`Expects ${expectation(value)}.`);
  if (required === true) notes.push('Required.');
  if (repeated === true) notes.push('May be given more than once.');
  if (defaultText !== undefined) notes.push(`Default: ${defaultText}.`);
  if (environment !== undefined) notes.push(`Environment: ${environment}.`);
  return notes.join(' ');
}

function optionsHelp(title: string, options: readonly OptionSpec[]): string {
  const lines = options.map((option) => {
    const short = option.short === undefined ? '' : `-${option.short}, `;
    return definition(`${short}${optionText(option)}`, optionNotes(option));
  });
  return `${title}\n${lines.join('')}`;
}

function argumentHelp({ name, help }: { readonly name: string; readonly help: string }): string {
  return definition(`<${name}>`, help);
}

const TERM = 26;

/** The term, and what it means beside it or, when the term is long, below. */
function definition(term: string, text: string): string {
  const body = wrapped(text, WIDTH, ' '.repeat(TERM + 4));
  return term.length <= TERM ? `  ${term.padEnd(TERM)}  ${body.trimStart()}` : `  ${term}\n${body}`;
}

function nameOf(path: readonly string[]): string {
  return path.join(' ');
}
