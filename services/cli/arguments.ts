/**
 * The command line, read by a command's description: which command, its options and arguments as
 * values of their kinds. Every mistake is a UsageError that says what was found and what is expected.
 * `node:util` splits the words; what they mean is decided here.
 */
import { parseArgs } from 'node:util';
import type { ArgumentSpec, CommandSpec, GroupSpec, OptionSpec, ValueKind } from './spec.ts';
import { didYouMean } from './suggest.ts';
import { bytesText, durationText, parseBytes, parseDuration, parseTime } from './units.ts';

/** Exit code 2; `about`: the command or group whose help to look at. */
export class UsageError extends Error {
  readonly about: Pick<CommandSpec, 'path'> | null;

  constructor(message: string, about: Pick<CommandSpec, 'path'> | null = null) {
    super(message);
    this.about = about;
  }
}

export type Value = string | number;

/** The values given, by name. Asking for a name or kind that the command does not have is a bug. */
export class Values {
  readonly #given: ReadonlyMap<string, readonly Value[]>;
  readonly #switches: ReadonlySet<string>;
  readonly rest: readonly string[];

  constructor(
    given: ReadonlyMap<string, readonly Value[]>,
    switches: ReadonlySet<string>,
    rest: readonly string[],
  ) {
    this.#given = given;
    this.#switches = switches;
    this.rest = rest;
  }

  has(name: string): boolean {
    return this.#given.has(name) || this.#switches.has(name);
  }

  text(name: string): string | undefined {
    const value = this.#given.get(name)?.at(-1);
    return value === undefined ? undefined : String(value);
  }

  number(name: string): number | undefined {
    const value = this.#given.get(name)?.at(-1);
    return value === undefined ? undefined : Number(value);
  }

  texts(name: string): readonly string[] {
    return (this.#given.get(name) ?? []).map(String);
  }

  flag(name: string): boolean {
    return this.#switches.has(name);
  }
}

export interface Chosen {
  readonly command: CommandSpec;
  /** The words after the command's name. */
  readonly words: readonly string[];
}

export interface Table {
  readonly commands: readonly CommandSpec[];
  readonly groups: readonly GroupSpec[];
}

/**
 * Finds the command that the first words name. Options may stand before it (`meridian --output json
 * status`): those of `everywhere` are known, with whether they take a value.
 */
export function chooseCommand(
  table: Table,
  everywhere: readonly OptionSpec[],
  argv: readonly string[],
): Chosen {
  const before = optionsBefore(everywhere, argv);
  const words = argv.slice(before);
  const [first, second] = words;
  if (first === undefined) throw new UsageError('which command? `meridian help` lists them');
  const group = table.groups.find(({ name }) => name === first);
  const path = group === undefined ? [first] : [first, second ?? ''];
  const command = table.commands.find(({ path: known }) => samePath(known, path));
  if (command !== undefined) {
    return { command, words: [...argv.slice(0, before), ...words.slice(path.length)] };
  }
  if (group !== undefined) {
    const below = table.commands.flatMap(({ path: [at, name = ''] }) => (at === first ? name : []));
    const isNamed = second !== undefined && !second.startsWith('-');
    const what = isNamed ? `there is no ${first} ${second}: ` : 'which command? ';
    throw new UsageError(
      `${what}expected one of ${below.join(', ')}${isNamed ? didYouMean(second, below) : ''}`,
      { path: [first] },
    );
  }
  const names = [
    ...table.commands.map(({ path: [name = ''] }) => name),
    ...table.groups.map(nameOf),
  ];
  throw new UsageError(
    `there is no command ${first}${didYouMean(first, names)}; \`meridian help\` lists them`,
  );
}

/** Reads the words by the command's description. */
export function readValues(
  command: CommandSpec,
  options: readonly OptionSpec[],
  words: readonly string[],
  nowMicros: number,
): Values {
  const fail = (message: string): never => {
    throw new UsageError(message, command);
  };
  const given = new Map<string, Value[]>();
  const switches = new Set<string>();
  const positionals: string[] = [];
  const end = words.indexOf('--');
  const ours = end < 0 || command.rest === undefined ? words : words.slice(0, end);
  const rest = end < 0 || command.rest === undefined ? [] : words.slice(end + 1);
  for (const token of tokensOf(options, ours)) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = options.find(({ name }) => name === token.name);
    if (option === undefined) {
      const known = options.map(({ name }) => `--${name}`);
      fail(`unknown option ${token.rawName}${didYouMean(`--${token.name}`, known)}`);
    } else if (option.value === undefined) {
      if (token.value !== undefined) fail(`${token.rawName} takes no value`);
      switches.add(option.name);
    } else {
      const value = readOption(option, token.rawName, token.value, options, nowMicros, fail);
      const before = given.get(option.name) ?? [];
      if (before.length > 0 && option.repeated !== true) fail(`--${option.name}: given twice`);
      given.set(option.name, [...before, value]);
    }
  }
  readArguments(command.args ?? [], positionals, given, nowMicros, fail);
  const missing = options.find(({ name, required }) => required === true && !given.has(name));
  if (missing !== undefined) fail(`--${missing.name} is missing`);
  return new Values(given, switches, rest);
}

function readOption(
  option: OptionSpec,
  rawName: string,
  text: string | undefined,
  options: readonly OptionSpec[],
  nowMicros: number,
  fail: (message: string) => never,
): Value {
  const isOption = options.some(({ name }) => text === `--${name}`);
  if (text === undefined || isOption) {
    return fail(`${rawName}: expected ${expectation(option.value)} after it`);
  }
  const read = readValue(option.value, text, nowMicros);
  return read ?? fail(`${rawName} ${text}: expected ${expectation(option.value)}`);
}

function readArguments(
  specs: readonly ArgumentSpec[],
  positionals: readonly string[],
  given: Map<string, Value[]>,
  nowMicros: number,
  fail: (message: string) => never,
): void {
  const left = [...positionals];
  for (const { name, value, optional, repeated } of specs) {
    const texts = repeated === true ? left.splice(0) : left.splice(0, 1);
    if (texts.length === 0 && optional !== true) fail(`<${name}> is missing`);
    const values = texts.map(
      (text) =>
        readValue(value, text, nowMicros) ??
        fail(`<${name}> ${text}: expected ${expectation(value)}`),
    );
    if (values.length > 0) given.set(name, values);
  }
  if (left.length > 0) fail(`${left[0] ?? ''}: one argument too many`);
}

function readValue(kind: ValueKind | undefined, text: string, nowMicros: number): Value | null {
  switch (kind?.kind) {
    case undefined:
    case 'text':
    case 'path':
      return text;
    case 'count': {
      const value = /^\d+$/.test(text) ? Number(text) : NaN;
      return Number.isSafeInteger(value) ? within(value, kind.least, kind.most) : null;
    }
    case 'duration':
      return within(parseDuration(text), kind.leastMs, kind.mostMs);
    case 'bytes':
      return within(parseBytes(text), kind.least, kind.most);
    case 'time':
      return parseTime(text, nowMicros);
    case 'choice': {
      const wanted = text.toLowerCase();
      return kind.choices.find((choice) => choice.toLowerCase() === wanted) ?? null;
    }
  }
}

/** What a value of this kind looks like, for messages and help. */
export function expectation(kind: ValueKind | undefined): string {
  switch (kind?.kind) {
    case undefined:
    case 'text':
      return 'text';
    case 'path':
      return 'a path';
    case 'count': {
      const { least = 0, most } = kind;
      if (most !== undefined) return `a whole number from ${least} to ${most}`;
      return least === 0 ? 'a whole number' : `a whole number, ${least} at least`;
    }
    case 'duration': {
      const { leastMs, mostMs } = kind;
      const bound = leastMs === undefined ? '' : `, ${durationText(leastMs)} at least`;
      const most = mostMs === undefined ? '' : `, ${durationText(mostMs)} at most`;
      return `a duration such as 500ms, 5s or 2m${bound}${most}`;
    }
    case 'bytes': {
      const { least, most } = kind;
      const bound = least === undefined ? '' : `, ${bytesText(least)} at least`;
      return `a size such as 500, 64KiB or 1MiB${bound}${most === undefined ? '' : `, ${bytesText(most)} at most`}`;
    }
    case 'time':
      return 'a time: ISO 8601, microseconds since 1970, now, or -5m for five minutes ago';
    case 'choice':
      return `one of ${kind.choices.join(', ')}`;
  }
}

function within(value: number | null, least = -Infinity, most = Infinity): number | null {
  return value !== null && value >= least && value <= most ? value : null;
}

function tokensOf(options: readonly OptionSpec[], words: readonly string[]) {
  const described = Object.fromEntries(
    options.map(({ name, short, value }) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: true,
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  const settings = { strict: false, allowPositionals: true, tokens: true } as const;
  return parseArgs({ args: [...words], options: described, ...settings }).tokens;
}

/** How many words before the command are options and their values. */
function optionsBefore(everywhere: readonly OptionSpec[], argv: readonly string[]): number {
  let at = 0;
  for (; argv[at]?.startsWith('-') === true; at += 1) {
    const word = argv[at] ?? '';
    const option = everywhere.find(
      ({ name, short }) => word === `--${name}` || (short !== undefined && word === `-${short}`),
    );
    if (option?.value !== undefined) at += 1;
  }
  return Math.min(at, argv.length);
}

function samePath(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((word, at) => word === other[at]);
}

function nameOf({ name }: GroupSpec): string {
  return name;
}
