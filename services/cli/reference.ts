/**
 * The reference in README.md, made from the table. A test compares it with the file; with UPDATE=1 in the
 * environment the test writes it.
 */
import { EXIT_MEANINGS } from './exit-codes.ts';
import { argumentText, optionNotes, optionText, synopsis } from './help.ts';
import type { CommandSpec, OptionSpec } from './spec.ts';
import { CONNECTION_OPTIONS, GENERAL_OPTIONS, SECTIONS } from './table/table.ts';

export const REFERENCE_MARK =
  '<!-- The reference: made from table/. UPDATE=1 npx vitest run --project unit services/cli/reference.test.ts -->';

export function reference(): string {
  const exits = EXIT_MEANINGS.map(({ code, help }) => `| ${code} | ${help} |`).join('\n');
  const sections = SECTIONS.map(
    ({ title, commands }) => `## ${title}\n\n${commands.map(commandText).join('\n')}`,
  );
  return `${REFERENCE_MARK}

## Exit codes

| code | meaning |
| --- | --- |
${exits}

## Options of every command

${optionTable(GENERAL_OPTIONS)}

Commands that talk to a journal also have these. Without them the environment counts, then the configuration file.

${optionTable(CONNECTION_OPTIONS)}

${sections.join('\n')}`;
}

function commandText(command: CommandSpec): string {
  const { path, about, args = [], rest, options = [], json, exits = [], examples } = command;
  const parts = [
    `### meridian ${path.join(' ')}`,
    `\`\`\`\n${synopsis(command)}\n\`\`\``,
    ...about.map(escaped),
  ];
  const named = [
    ...args.map((argument) => ({ name: argumentText(argument), help: argument.help })),
    ...(rest === undefined ? [] : [rest]),
  ];
  if (named.length > 0) {
    parts.push(named.map(({ name, help }) => `- \`${name}\`: ${escaped(help)}`).join('\n'));
  }
  if (options.length > 0) parts.push(optionTable(options));
  if (json !== null) {
    const form = json.form === 'document' ? 'one document' : 'one value a line';
    const fields = json.fields.map(({ name, help }) => `\`${name}\` ${escaped(help)}`).join('; ');
    parts.push(`With \`--output json\`, ${form}: ${fields}.`);
  }
  if (exits.length > 0) {
    parts.push(
      `Exit codes: ${exits.map(({ code, help }) => `${code} ${escaped(help)}`).join('; ')}.`,
    );
  }
  const shown = examples.map(({ text, command: line }) => `# ${text}\n${line}`);
  parts.push(`\`\`\`sh\n${shown.join('\n')}\n\`\`\``);
  return `${parts.join('\n\n')}\n`;
}

function optionTable(options: readonly OptionSpec[]): string {
  const rows = options.map((option) => {
    const short = option.short === undefined ? '' : `, \`-${option.short}\``;
    const text = `\`${optionText(option)}\`${short}`;
    return `| ${text.replaceAll('|', '\\|')} | ${escaped(optionNotes(option))} |`;
  });
  return `| option | meaning |\n| --- | --- |\n${rows.join('\n')}`;
}

/** What Markdown would take for its own. */
function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '\\<').replaceAll('*', '\\*');
}
