/**
 * The places settings come from, each read into the same shape: a path, a value, and the words that
 * say where it was found. Mistakes are collected, not thrown, so that all are reported at once.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Setting } from './settings-schema.ts';

export interface Found {
  readonly path: readonly string[];
  readonly value: unknown;
  /** For example `--port` or `journal.yaml: port`. */
  readonly where: string;
}

export interface SourceResult {
  readonly found: readonly Found[];
  readonly mistakes: readonly string[];
}

export interface Flags extends SourceResult {
  readonly file: string | null;
  readonly help: boolean;
  readonly print: boolean;
  readonly check: boolean;
}

/** `--name value`, `--name=value`, and `--name` alone for true. */
export function fromFlags(argv: readonly string[], settings: readonly Setting[]): Flags {
  const found: Found[] = [];
  const mistakes: string[] = [];
  const own = { file: null as string | null, help: false, print: false, check: false };
  const queue = [...argv];
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (!word.startsWith('--')) {
      mistakes.push(`${quoted(word)}: expected a flag (--name value); see --help`);
      continue;
    }
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    const setting = settings.find((candidate) => candidate.flag === name);
    const next = queue[0];
    const bare = equals < 0 && (next === undefined || next.startsWith('--'));
    if (name === '--help') own.help = true;
    else if (name === '--print-config') own.print = true;
    else if (name === '--check-config') own.check = true;
    else if (setting === undefined && name !== '--config') {
      if (!bare && equals < 0) queue.shift();
      const names = [
        '--config',
        '--help',
        '--print-config',
        '--check-config',
        ...settings.map((known) => known.flag),
      ];
      mistakes.push(`${name}: unknown flag${suggestion(name, names)}; see --help`);
    } else if (bare && setting?.type === 'boolean')
      found.push({ path: setting.path, value: true, where: name });
    else if (bare) mistakes.push(`${name}: expected a value after it`);
    else {
      const text = equals < 0 ? (queue.shift() ?? '') : word.slice(equals + 1);
      if (setting === undefined) own.file = text;
      else found.push({ path: setting.path, value: fromText(setting, text), where: name });
    }
  }
  return { found, mistakes, ...own };
}

/** What the command line reads: a shell that is set up for it may start a service as well. */
const OF_THE_COMMAND_LINE = new Set(
  ['REPLICAS', 'CONTEXT', 'OUTPUT', 'TOKEN', 'TOKEN_FILE', 'FENCING_TOKEN'].map(
    (name) => `MERIDIAN_${name}`,
  ),
);

/**
 * MERIDIAN_*. A name that nobody knows is refused only when it looks like a known one mistyped:
 * others put theirs there too (Kubernetes adds MERIDIAN_…_SERVICE_HOST for a service of that name).
 */
export function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  settings: readonly Setting[],
): SourceResult {
  const found: Found[] = [];
  const mistakes: string[] = [];
  const known = new Map(settings.map((setting) => [setting.environment, setting]));
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith('MERIDIAN_') || text === undefined) continue;
    const setting = known.get(name);
    if (setting !== undefined)
      found.push({ path: setting.path, value: fromText(setting, text), where: name });
    else if (!OF_THE_COMMAND_LINE.has(name)) {
      const meant = suggestion(name, [...known.keys()]);
      if (meant !== '') mistakes.push(`${name}: unknown environment variable${meant}`);
    }
  }
  return { found, mistakes };
}

/** A YAML map; nested maps are followed as far as the schema nests. */
export function fromFile(file: string, settings: readonly Setting[]): SourceResult {
  let root: unknown;
  try {
    root = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { found: [], mistakes: [`${file}: cannot be read as YAML: ${text.trimEnd()}`] };
  }
  if (root === null || root === undefined) return { found: [], mistakes: [] };
  if (!isMap(root)) return { found: [], mistakes: [`${file}: expected a map of settings`] };
  const found: Found[] = [];
  const mistakes: string[] = [];
  const visit = (map: Readonly<Record<string, unknown>>, above: readonly string[]): void => {
    for (const [key, value] of Object.entries(map)) {
      const path = [...above, key];
      const where = `${file}: ${path.join('.')}`;
      const isLeaf = settings.some((setting) => samePath(setting.path, path));
      const below = settings.filter((setting) =>
        samePath(setting.path.slice(0, path.length), path),
      );
      if (isLeaf) found.push({ path, value, where });
      else if (below.length > 0 && isMap(value)) visit(value, path);
      else if (below.length > 0) mistakes.push(`${where}: found ${quoted(value)}, expected a map`);
      else {
        const siblings = settings.map((setting) => setting.path[above.length] ?? '');
        mistakes.push(`${where}: unknown setting${suggestion(key, siblings)}; see --help`);
      }
    }
  };
  visit(root, []);
  return { found, mistakes };
}

/** Values as they were found, for messages; long ones shortened. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) return 'nothing';
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}

/** Text that is not of the type stays text, so that the schema refuses it and the message shows it. */
function fromText(setting: Setting, text: string): unknown {
  switch (setting.type) {
    case 'string':
      return text;
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'list':
      return text.trimStart().startsWith('[') ? yaml(text) : text === '' ? [] : text.split(',');
    case 'yaml':
      return yaml(text);
  }
}

function yaml(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function samePath(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((key, at) => key === other[at]);
}

function suggestion(name: string, known: readonly string[]): string {
  const near = known.find((candidate) => distance(name, candidate) <= 2);
  return near === undefined ? '' : ` (did you mean ${near}?)`;
}

/** Levenshtein distance. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
