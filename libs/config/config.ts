/**
 * Configuration of a service: flags over MERIDIAN_* over the YAML file of --config over defaults,
 * judged by one zod schema. Unknown names are refused; every mistake is reported, each with where it
 * was found, what was found, and what is expected. `--help`, `--print-config` and `--check-config`
 * come with it.
 */
import { stringify } from 'yaml';
import type { z } from 'zod';
import { settingsOf } from './settings-schema.ts';
import type { Setting } from './settings-schema.ts';
import { fromEnvironment, fromFile, fromFlags, quoted } from './sources.ts';
import type { Found } from './sources.ts';

/** sysexits.h EX_CONFIG. */
export const EXIT_CONFIG = 78;

export interface ConfigOptions<S extends z.ZodObject> {
  /** Nested objects become dotted keys in the file and dashes in flags. */
  readonly schema: S;
  /** Command, for --help. */
  readonly name: string;
  /** Arguments after the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Below everything else; for what is only known at run time. */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

export type Loaded<T> =
  | { readonly kind: 'config'; readonly config: T }
  /** --help, --print-config or --check-config: print and exit with 0. */
  | { readonly kind: 'print'; readonly text: string }
  /** One line for each mistake; exit with EXIT_CONFIG. */
  | { readonly kind: 'mistakes'; readonly mistakes: readonly string[] };

export function loadConfig<S extends z.ZodObject>(options: ConfigOptions<S>): Loaded<z.output<S>> {
  const settings = settingsOf(options.schema);
  const flags = fromFlags(options.argv, settings);
  if (flags.help) return { kind: 'print', text: helpText(options.name, settings) };
  const environment = fromEnvironment(options.env, settings);
  const fileName = flags.file ?? options.env['MERIDIAN_CONFIG'] ?? null;
  const file = fileName === null ? { found: [], mistakes: [] } : fromFile(fileName, settings);

  const found = [...file.found, ...environment.found, ...flags.found];
  const merged = merge(options.defaults ?? {}, found);
  const parsed = options.schema.safeParse(merged);
  const mistakes = [...flags.mistakes, ...environment.mistakes, ...file.mistakes];
  if (!parsed.success)
    for (const issue of parsed.error.issues)
      mistakes.push(mistakeOf(issue, merged, found, settings));
  if (mistakes.length > 0) return { kind: 'mistakes', mistakes };
  if (flags.check) return { kind: 'print', text: 'ok\n' };
  if (flags.print) return { kind: 'print', text: printed(parsed.data, settings) };
  return { kind: 'config', config: parsed.data as z.output<S> };
}

/** For `main`: prints what there is to print and exits, or returns the configuration. */
export function loadConfigOrExit<S extends z.ZodObject>(options: ConfigOptions<S>): z.output<S> {
  const loaded = loadConfig(options);
  switch (loaded.kind) {
    case 'config':
      return loaded.config;
    case 'print':
      process.stdout.write(loaded.text);
      return process.exit(0);
    case 'mistakes':
      process.stderr.write(
        `${options.name}: the configuration is not usable\n` +
          loaded.mistakes.map((mistake) => `  ${mistake}\n`).join(''),
      );
      return process.exit(EXIT_CONFIG);
  }
}

type Tree = Record<string, unknown>;

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null;
}

/** Later ones win. */
function merge(defaults: Readonly<Record<string, unknown>>, found: readonly Found[]): Tree {
  const root: Tree = structuredClone(defaults);
  for (const { path, value } of found) {
    let node = root;
    for (const key of path.slice(0, -1)) {
      const below = node[key];
      const next: Tree = isTree(below) ? below : {};
      node[key] = next;
      node = next;
    }
    node[path.at(-1) ?? ''] = value;
  }
  return root;
}

function mistakeOf(
  issue: z.core.$ZodIssue,
  merged: Tree,
  found: readonly Found[],
  settings: readonly Setting[],
): string {
  const path = issue.path.map(String);
  const isAt = (candidate: readonly string[]): boolean =>
    candidate.every((key, at) => key === path[at]);
  const setting = settings.find((candidate) => isAt(candidate.path));
  const source = found.findLast((candidate) => isAt(candidate.path));
  const value = path.reduce<unknown>((node, key) => (isTree(node) ? node[key] : undefined), merged);
  if (source === undefined && value === undefined) {
    const below = settings.filter((candidate) =>
      path.every((key, at) => key === candidate.path[at]),
    );
    const names = (setting === undefined ? below : [setting]).map(
      (missing) =>
        `${missing.flag}, ${missing.environment} or ${missing.path.join('.')} in the file`,
    );
    return `${path.join('.')}: missing; give ${names.join('; ')}`;
  }
  const inner = path.slice(source?.path.length ?? 0);
  const where = source === undefined ? `default of ${path.join('.')}` : source.where;
  const at = inner.length === 0 || source === undefined ? where : `${where}, at ${inner.join('.')}`;
  const shown = setting?.secret === true ? 'a secret' : quoted(value);
  return `${at}: found ${shown}; ${issue.message.replace(/^Invalid input: /, '')}`;
}

function helpText(name: string, settings: readonly Setting[]): string {
  const lines = settings.flatMap((setting) => {
    const state = setting.required
      ? 'required'
      : setting.defaultValue === undefined
        ? 'optional'
        : `default ${quoted(setting.defaultValue)}`;
    return [
      `  ${setting.flag} <${setting.expected}>`,
      ...(setting.description === '' ? [] : [`      ${setting.description}`]),
      `      ${setting.environment}; ${setting.path.join('.')} in the file; ${state}`,
    ];
  });
  return [
    `usage: ${name} [--config file.yaml] [--name value]...`,
    '',
    'Flags win over the environment, the environment over the file, the file over defaults.',
    '',
    ...lines,
    '  --config <file>\n      YAML file with settings; MERIDIAN_CONFIG',
    '  --print-config\n      print the settings in force, without secrets, and exit',
    '  --check-config\n      print "ok", or every mistake and exit with 78',
    '  --help\n      print this and exit',
    '',
  ].join('\n');
}

function printed(config: unknown, settings: readonly Setting[]): string {
  const copy = structuredClone(config) as Tree;
  for (const setting of settings.filter((candidate) => candidate.secret)) {
    const parent = setting.path
      .slice(0, -1)
      .reduce<Tree | undefined>((node, key) => node?.[key] as Tree | undefined, copy);
    const key = setting.path.at(-1) ?? '';
    if (parent?.[key] !== undefined) parent[key] = '(secret)';
  }
  return stringify(copy);
}
