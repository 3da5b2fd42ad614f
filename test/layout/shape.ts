/** Sizes, names and companions of files: what style says about a file without reading its code. */
import type { SourceFile, Violation } from './source-files.ts';
import { isGenerated, isTypeScript, partOf } from './source-files.ts';

const LINES_MAX = 500;
const VAGUE = new Set(['utils', 'util', 'common', 'shared', 'helpers', 'helper', 'misc']);
const CORES = ['libs/lane', 'libs/merge', 'libs/order'];
const TOP_LEVEL = ['chaos', 'libs', 'proto', 'services', 'terraform', 'test', '.ci'];

export function tooLong(files: readonly SourceFile[]): Violation[] {
  return files
    .filter((file) => /\.(ts|mjs|proto)$/.test(file.path) && !isGenerated(file))
    .map((file) => ({ path: file.path, lines: file.text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map(
      ({ path, lines }) =>
        `${path}: ${String(lines)} lines; at ${String(LINES_MAX)} there is a second concept inside`,
    );
}

/** Folders and files whose name says nothing, and names that are not kebab-case. */
export function vagueNames(files: readonly SourceFile[]): Violation[] {
  return files.flatMap(({ path }) => {
    const names = path.split('/').map((name) => name.replace(/\..*$/, ''));
    const vague = names.find((name) => VAGUE.has(name));
    if (vague !== undefined) return [`${path}: "${vague}" does not say what is inside`];
    if (/\.(ts|mjs)$/.test(path) && !isGenerated({ path, text: '' })) {
      const file = names.at(-1) ?? '';
      if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(file)) return [`${path}: not kebab-case`];
    }
    return [];
  });
}

/** A folder at the top that the layout does not know. */
export function unknownTopLevel(files: readonly SourceFile[]): Violation[] {
  const folders = new Set(
    files.flatMap(({ path }) => (path.includes('/') ? [path.slice(0, path.indexOf('/'))] : [])),
  );
  return [...folders]
    .filter((folder) => !TOP_LEVEL.includes(folder))
    .map((folder) => `${folder}: not one of the fixed folders at the top`);
}

/** Every service explains itself, every core has its specification. */
export function missingDocuments(files: readonly SourceFile[]): Violation[] {
  const paths = new Set(files.map((file) => file.path));
  const services = new Set(
    files.map((file) => partOf(file.path)).filter((part) => part.startsWith('services/')),
  );
  const wanted = [
    ...[...services].map((part) => `${part}/README.md`),
    ...CORES.map((part) => `${part}/SPEC.md`),
  ];
  return wanted.filter((path) => !paths.has(path)).map((path) => `${path}: missing`);
}

/** A file begins with a comment that says what it is for. */
export function missingHeaders(files: readonly SourceFile[]): Violation[] {
  return files
    .filter((file) => isTypeScript(file) && /^(libs|services|chaos)\//.test(file.path))
    .filter((file) => !file.path.endsWith('.test.ts'))
    .filter((file) => !/^(#![^\n]*\n)?(import [^;]*;\s*)*\/\*\*/.test(file.text))
    .map((file) => `${file.path}: no header comment`);
}
