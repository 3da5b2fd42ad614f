/**
 * Completion scripts, made from the table: commands, the second words of groups, options, and the
 * choices of options that have some. File names where an option or argument takes a path, nothing where
 * it takes what only the user knows. The scripts are static: completing must not connect anywhere.
 */
import { argumentText } from './help.ts';
import type { CommandSpec, OptionSpec } from './spec.ts';
import { LEADING_OPTIONS, TABLE, TOPICS, optionsOf } from './table/table.ts';

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

function takesPath({ args = [] }: CommandSpec): boolean {
  return args.some(({ value }) => value?.kind === 'path');
}

/**
 * The words that name the command are looked for from the left, past options that may stand before them.
 * bash makes three words of `--ack=quorum`, and is 3.2 on some machines. What follows `--` is the line of
 * another program.
 */
function bash(): string {
  const commands = TABLE.commands.map((command) => {
    const options = optionsOf(command).map(({ name }) => `--${name}`);
    const words = [...options, ...argumentWords(command)].join(' ');
    const files = takesPath(command) ? ' files=yes' : '';
    return `    '${command.path.join(' ')}') words='${words}'${files} ;;\n`;
  });
  const groupNames = TABLE.groups.map(({ name }) => name);
  const groups = groupNames.map(
    (name) => `    '${name}'|'help ${name}') words='${secondWords(name).join(' ')}' ;;\n`,
  );
  const leading = LEADING_OPTIONS.filter(({ value }) => value !== undefined).flatMap(formsOf);
  return `# bash completion of meridian; made by \`meridian completion bash\`
_meridian_files() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -f -- "$1"))
  compopt -o filenames 2>/dev/null
}
_meridian() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local command='' words='' files='' word='' i=1
  if [ "$current" = '=' ]; then current=''
  elif [ "$previous" = '=' ]; then previous="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  COMPREPLY=()
  while [ "$i" -lt "$COMP_CWORD" ]; do
    word="\${COMP_WORDS[i]}"
    case "$word" in
      --)
        if [ "$((i + 1))" -eq "$COMP_CWORD" ]; then COMPREPLY=($(compgen -c -- "$current"))
        else _meridian_files "$current"
        fi
        return ;;
      ${leading.join('|')})
        if [ "\${COMP_WORDS[i+1]}" = '=' ]; then i=$((i + 2))
        elif [ -z "$command" ]; then i=$((i + 1))
        fi ;;
      -*|=) ;;
      *)
        case "$command" in
          '') command="$word" ;;
          help|${groupNames.join('|')}) command="$command $word" ;;
        esac ;;
    esac
    i=$((i + 1))
  done
  case "$previous" in
${valueCases()}  esac
  case "$command" in
    '') words='${firstWords().join(' ')}' ;;
${groups.join('')}${commands.join('')}  esac
  if [ -n "$files" ] && [ "\${current#-}" = "$current" ]; then _meridian_files "$current"
  else COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -F _meridian meridian
`;
}

function formsOf({ name, short }: OptionSpec): string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}

/** Lines of a `case` that answer with what an option takes: choices, files, or nothing that is known here. */
function valueCases(): string {
  const options = TABLE.commands.flatMap(optionsOf);
  const switches = new Set(options.filter(({ value }) => value === undefined).flatMap(formsOf));
  const forms = new Set(options.flatMap(formsOf));
  const byAnswer = new Map<string, string[]>();
  for (const form of forms) {
    // A switch in one command and not in another: options may follow.
    if (switches.has(form)) continue;
    const values = options.filter((option) => formsOf(option).includes(form));
    const choices = values.flatMap(({ value }) => (value?.kind === 'choice' ? value.choices : []));
    const answer =
      choices.length > 0
        ? `COMPREPLY=($(compgen -W '${[...new Set(choices)].join(' ')}' -- "$current"))`
        : values.some(({ value }) => value?.kind === 'path')
          ? '_meridian_files "$current"'
          : ':';
    byAnswer.set(answer, [...(byAnswer.get(answer) ?? []), form]);
  }
  return [...byAnswer]
    .map(([answer, names]) => `    ${names.join('|')}) ${answer}; return ;;\n`)
    .join('');
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
    const options = optionsOf(command).flatMap((option) =>
      formsOf(option).map((form) => `'${zshOption(option, form)}'`),
    );
    const rest = (command.args ?? []).map((argument) => {
      const words = argumentWords(command).join(' ');
      const files = argument.value?.kind === 'path' ? '_files' : '';
      const action = words === '' ? files : `(${words})`;
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

function zshOption(option: OptionSpec, form: string): string {
  const { help, value, placeholder = 'value', repeated } = option;
  const star = repeated === true ? '*' : '';
  const text = `${star}${form}[${quoted(help).replace(/[[\]]/g, '')}]`;
  if (value === undefined) return text;
  const choices = value.kind === 'choice' ? `(${value.choices.join(' ')})` : '';
  const action = value.kind === 'path' ? '_files' : choices;
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
    else if (takesPath(command)) lines.push(`complete -c meridian -F -n '${when}'`);
    for (const { name, short, value, help } of optionsOf(command)) {
      const form = short === undefined ? '' : ` -s ${short}`;
      const files = value?.kind === 'path' ? ' -F' : '';
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
