import { describe, expect, it } from 'vitest';
import { UsageError, chooseCommand, readValues } from './arguments.ts';
import type { CommandSpec, OptionSpec, ValueKind } from './spec.ts';
import { LEADING_OPTIONS, TABLE, optionsOf } from './table/table.ts';

const NOW = 1_700_000_000_000_000;

function commandWith(options: readonly OptionSpec[], more: Partial<CommandSpec> = {}): CommandSpec {
  return {
    path: ['try'],
    summary: '',
    about: [],
    options,
    connects: false,
    json: null,
    examples: [],
    load: () => Promise.reject(new Error('not part of this test')),
    ...more,
  };
}

function valueOf(kind: ValueKind, text: string): number | string | undefined {
  const command = commandWith([{ name: 'x', value: kind, help: '' }]);
  const values = readValues(command, command.options ?? [], ['--x', text], NOW);
  return kind.kind === 'text' || kind.kind === 'choice' ? values.text('x') : values.number('x');
}

function problem(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error('expected a UsageError');
}

describe('the values of options', () => {
  it.each<[ValueKind, string, number | string]>([
    [{ kind: 'count' }, '42', 42],
    [{ kind: 'duration' }, '500ms', 500],
    [{ kind: 'duration' }, '1.5s', 1500],
    [{ kind: 'duration' }, '2', 2000],
    [{ kind: 'bytes' }, '64KiB', 65_536],
    [{ kind: 'bytes' }, '500', 500],
    [{ kind: 'time' }, 'now', NOW],
    [{ kind: 'time' }, '-5m', NOW - 300_000_000],
    [{ kind: 'time' }, '2026-11-21T15:12:09.123456Z', 1_795_273_929_123_456],
    [{ kind: 'time' }, '2026-11-21', 1_795_219_200_000_000],
    [{ kind: 'time' }, '1795273929123456', 1_795_273_929_123_456],
    [{ kind: 'choice', choices: ['quorum', 'ordered'] }, 'QUORUM', 'quorum'],
  ])('%o takes %s for %s', (kind, text, value) => {
    expect(valueOf(kind, text)).toBe(value);
  });

  it.each<[ValueKind, string, string]>([
    [{ kind: 'count' }, '-1', 'a whole number'],
    [{ kind: 'count' }, '1e3', 'a whole number'],
    [{ kind: 'count', most: 9 }, '10', 'a whole number from 0 to 9'],
    [{ kind: 'count' }, '99999999999999999999', 'a whole number'],
    [{ kind: 'duration' }, '5 parsecs', 'a duration such as'],
    [
      { kind: 'duration', leastMs: 100 },
      '1ms',
      'a duration such as 500ms, 5s or 2m, 100 ms at least',
    ],
    [{ kind: 'bytes' }, '1XB', 'a size such as'],
    [{ kind: 'time' }, 'yesterday', 'a time: ISO 8601'],
    [{ kind: 'time' }, '1700000000', 'a time: ISO 8601'],
    [{ kind: 'choice', choices: ['a', 'b'] }, 'c', 'one of a, b'],
  ])('%o refuses %s and says what is expected', (kind, text, expected) => {
    expect(problem(() => valueOf(kind, text))).toContain(`--x ${text}: expected ${expected}`);
  });
});

describe('the command line', () => {
  const options: readonly OptionSpec[] = [
    { name: 'limit', short: 'n', value: { kind: 'count' }, help: '' },
    { name: 'header', value: { kind: 'text' }, repeated: true, help: '' },
    { name: 'follow', help: '' },
  ];
  const command = commandWith(options, {
    args: [
      { name: 'stream', help: '' },
      { name: 'body', help: '', optional: true, repeated: true },
    ],
    rest: { name: 'command…', help: '' },
  });
  const read = (...words: string[]) => readValues(command, options, words, NOW);

  it('mixes options and arguments, short and long, with and without =', () => {
    const values = read(
      '-n',
      '3',
      's',
      '--header=a=b',
      'one',
      '--follow',
      'two',
      '--header',
      'c=d',
    );
    expect(values.text('stream')).toBe('s');
    expect(values.texts('body')).toEqual(['one', 'two']);
    expect(values.number('limit')).toBe(3);
    expect(values.texts('header')).toEqual(['a=b', 'c=d']);
    expect(values.flag('follow')).toBe(true);
    expect(values.rest).toEqual([]);
  });

  it('leaves everything after -- alone where a command may follow', () => {
    const values = read('s', '--', 'ls', '--limit', '-x');
    expect(values.rest).toEqual(['ls', '--limit', '-x']);
    expect(values.number('limit')).toBeUndefined();
  });

  it.each([
    [['s', '--limt', '3'], 'unknown option --limt (did you mean --limit?)'],
    [['s', '--limit'], '--limit: expected a whole number after it'],
    [['s', '--limit', '--follow'], '--limit: expected a whole number after it'],
    [['s', '--follow=yes'], '--follow takes no value'],
    [['s', '--limit', '1', '--limit', '2'], '--limit: given twice'],
    [[], '<stream> is missing'],
  ])('%j: %s', (words, expected) => {
    expect(problem(() => read(...words))).toContain(expected);
  });

  it('refuses an argument too many and a required option that is missing', () => {
    const strict = commandWith([
      { name: 'token', value: { kind: 'count' }, required: true, help: '' },
    ]);
    expect(problem(() => readValues(strict, strict.options ?? [], ['x'], NOW))).toContain(
      'one argument too many',
    );
    expect(problem(() => readValues(strict, strict.options ?? [], [], NOW))).toContain(
      '--token is missing',
    );
  });

  it('takes a time before now for a value, not for an option', () => {
    const timed = commandWith([{ name: 'from', value: { kind: 'time' }, help: '' }]);
    const values = readValues(timed, timed.options ?? [], ['--from', '-5m'], NOW);
    expect(values.number('from')).toBe(NOW - 300_000_000);
  });
});

describe('choosing a command', () => {
  const choose = (...words: string[]) => chooseCommand(TABLE, LEADING_OPTIONS, words);

  it('takes options before the command, with their values', () => {
    const { command, words } = choose('--output', 'json', '-q', 'lease', 'renew', 'x');
    expect(command.path).toEqual(['lease', 'renew']);
    expect(words).toEqual(['--output', 'json', '-q', 'x']);
  });

  it.each([
    [['appendd'], 'did you mean append?'],
    [['stat'], 'did you mean status?'],
    [['streams', 'lst'], 'did you mean list?'],
    [['streams'], 'expected one of list, create, describe, configure, delete'],
    [['--output', 'json'], 'which command?'],
  ])('%j: %s', (words, expected) => {
    expect(problem(() => choose(...words))).toContain(expected);
  });
});

describe('the table', () => {
  const rows = TABLE.commands.map((command) => [command.path.join(' '), command] as const);

  it.each(rows)('%s: is described in full', (_name, command) => {
    expect(command.summary).toMatch(/^[A-Z].*[^.]$/);
    expect(command.about.length).toBeGreaterThan(0);
    expect(command.examples.length).toBeGreaterThanOrEqual(2);
    for (const { command: line } of command.examples) {
      expect(line).toContain(`meridian ${command.path.join(' ')}`);
    }
    const names = optionsOf(command).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const shorts = optionsOf(command).flatMap(({ short }) => short ?? []);
    expect(new Set(shorts).size).toBe(shorts.length);
    for (const { value, placeholder } of optionsOf(command)) {
      expect(value === undefined).toBe(placeholder === undefined);
    }
    if (command.connects) expect(command.json).not.toBeNull();
  });

  it.each(rows)('%s: has examples that its parser takes', (_name, command) => {
    for (const { command: line } of command.examples) {
      const own = line.slice(line.indexOf(`meridian ${command.path.join(' ')}`));
      const [words = ''] = own.split(/ \||; |\)/);
      const list = [...words.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
        ([whole, double, single]) => double ?? single ?? whole,
      );
      // What a shell would put in place of a substitution.
      const filled = list.slice(1).filter((word) => !/^>|^[~/].*fish$/.test(word));
      const at = filled.findIndex((word) => word.startsWith('$('));
      const plain = at < 0 ? filled : [...filled.slice(0, at), '7'];
      const chosen = chooseCommand(TABLE, LEADING_OPTIONS, plain);
      expect(chosen.command).toBe(command);
      readValues(command, optionsOf(command), chosen.words, NOW);
    }
  });

  it.each(rows)('%s: its module runs', async (_name, command) => {
    expect((await command.load()).run).toBeTypeOf('function');
  });
});
