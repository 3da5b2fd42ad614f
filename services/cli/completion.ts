/**
 * Completion scripts, made from the table: commands, the second words of groups, options, and the
 * choices of options that have some. File names where an option takes a path. The scripts are static:
 * completing must not connect anywhere.
 */
import { argumentText } from './help.ts';
import type { CommandSpec, OptionSpec } from './spec.ts';
import { TABLE, TOPICS, optionsOf } from './table/table.ts';

const FILE_OPTIONS = ['file', 'config', 'directory'];

export function completionScript(shell: string): string {
  if (shell === 'zsh') return zsh();
  return shell === 'fish' ? fish() : bash();
}

function firstWords(): string[] {
  return [...new Set(TABLE.commands.map(({ path }) => path[0] ?? ''))];
}

function secondWords(first: string): string[] {
  return TABLE.commands.flatMap(({ path }) =>
    path[0] === first && path[1] !== undefined ? path[1] : [],
  );
}

/** Choices of the command's first argument. */
function argumentWords(command: CommandSpec): string[] {
  if (command.path[0] === 'help') {
    return [...firstWords(), ...TOPICS.map(({ name }) => name)];
  }
  const kind = command.args?.[0]?.value;
  return kind?.kind === 'choice' ? [...kind.choices] : [];
}

function bash(): string {
  const commands = TABLE.commands.map((command) => {
    const options = optionsOf(command).map(({ name }) => `--${name}`);
    const words = [...options, ...argumentWords(command)].join(' ');
    return `    '${command.path.join(' ')}') words='${words}' ;;\n`;
  });
  const groups = TABLE.groups.map(
    ({ name }) => `    '${name}') words='${secondWords(name).join(' ')}' ;;\n`,
  );
  return `# bash completion of meridian; made by \`meridian completion bash\`
_meridian() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=''
  case "$previous" in
${valueCases()}    ${FILE_OPTIONS.map((name) => `--${name}`).join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  local command="\${COMP_WORDS[1]}"
  case "$command" in
    ${TABLE.groups.map(({ name }) => name).join('|') || '-'})
      [ "$COMP_CWORD" -gt 2 ] && command="$command \${COMP_WORDS[2]}" ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && command=''
  case "$command" in
    '') words='${firstWords().join(' ')}' ;;
${groups.join('')}${commands.join('')}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _meridian meridian
`;
}

/** Lines of a `case` that answer with the choices of an option. */
function valueCases(): string {
  return [...choicesByOption()]
    .map(
      ([name, choices]) =>
        `    --${name}) COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$current")); return ;;\n`,
    )
    .join('');
}

/** Of options of one name in several commands, all choices. */
function choicesByOption(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { name, value } of TABLE.commands.flatMap(optionsOf)) {
    if (value?.kind !== 'choice') continue;
    found.set(name, [...new Set([...(found.get(name) ?? []), ...value.choices])]);
  }
  return found;
}

function zsh(): string {
  const described = (words: readonly (readonly [string, string])[]): string =>
    words.map(([word, help]) => `'${word}:${quoted(help)}'`).join(' ');
  const first = described(firstWords().map((word) => [word, summaryOf(word)]));
  const groups = TABLE.groups.map(({ name }) => {
    const commands = TABLE.commands.filter(({ path }) => path[0] === name);
    const words = described(commands.map(({ path, summary }) => [path[1] ?? '', summary]));
    return `    '${name}') words=(${words}); _describe 'command' words; return ;;\n`;
  });
  const cases = TABLE.commands.map((command) => {
    const options = optionsOf(command).map((option) => `'${zshOption(option)}'`);
    const rest = (command.args ?? []).map((argument) => {
      const words = argumentWords(command).join(' ');
      const action = words === '' ? '' : `(${words})`;
      return `'${argument.repeated === true ? '*' : ''}:${argumentText(argument).replace(/[[\]:]/g, '')}:${action}'`;
    });
    return `    '${command.path.join(' ')}') _arguments -S ${[...options, ...rest].join(' ')} ;;\n`;
  });
  return `#compdef meridian
# zsh completion of meridian; made by \`meridian completion zsh\`
_meridian() {
  local -a words_first words
  words_first=(${first})
  if (( CURRENT == 2 )); then _describe 'command' words_first; return; fi
  local command="\${words[2]}"
  local -i drop=1
  case "$command" in
    ${TABLE.groups.map(({ name }) => name).join('|') || '-'})
      if (( CURRENT > 3 )); then command="$command \${words[3]}"; drop=2; fi ;;
  esac
  shift $drop words
  (( CURRENT -= drop ))
  case "$command" in
${groups.join('')}${cases.join('')}  esac
}
if [ "$funcstack[1]" = _meridian ]; then _meridian "$@"; else compdef _meridian meridian; fi
`;
}

function zshOption(option: OptionSpec): string {
  const { name, help, value, placeholder = 'value', repeated } = option;
  const star = repeated === true ? '*' : '';
  const text = `${star}--${name}[${quoted(help).replace(/[[\]]/g, '')}]`;
  if (value === undefined) return text;
  const choices = value.kind === 'choice' ? `(${value.choices.join(' ')})` : '';
  const action = FILE_OPTIONS.includes(name) ? '_files' : choices;
  return `${text}:${placeholder.replaceAll(':', ' ')}:${action}`;
}

function fish(): string {
  const lines = ['# fish completion of meridian; made by `meridian completion fish`'];
  const none = '__fish_use_subcommand';
  for (const word of firstWords()) {
    lines.push(`complete -c meridian -f -n ${none} -a ${word} -d '${quoted(summaryOf(word))}'`);
  }
  for (const command of TABLE.commands) {
    const [first = '', second] = command.path;
    const seen = `__fish_seen_subcommand_from ${first}`;
    const when = second === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${second}`;
    if (second !== undefined) {
      const others = secondWords(first).join(' ');
      const before = `${seen}; and not __fish_seen_subcommand_from ${others}`;
      lines.push(
        `complete -c meridian -f -n '${before}' -a ${second} -d '${quoted(command.summary)}'`,
      );
    }
    const words = argumentWords(command);
    if (words.length > 0)
      lines.push(`complete -c meridian -f -n '${when}' -a '${words.join(' ')}'`);
    for (const { name, short, value, help } of optionsOf(command)) {
      const form = short === undefined ? '' : ` -s ${short}`;
      const files = FILE_OPTIONS.includes(name) ? ' -F' : '';
      const choices = value?.kind === 'choice' ? ` -x -a '${value.choices.join(' ')}'` : ' -r';
      const takes = value === undefined ? '' : files === '' ? choices : ` -r${files}`;
      lines.push(
        `complete -c meridian -n '${when}' -l ${name}${form}${takes} -d '${quoted(help)}'`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function summaryOf(word: string): string {
  const command = TABLE.commands.find(({ path }) => path.length === 1 && path[0] === word);
  return command?.summary ?? TABLE.groups.find(({ name }) => name === word)?.summary ?? '';
}

/** Inside single quotes of any of these shells. */
function quoted(text: string): string {
  return text.replaceAll("'", '’').replaceAll(':', ' -').replaceAll('`', '');
}
