/**
 * The repository's own files as data, so that the rules of the layout are functions from files to
 * violations and can be tried on made-up files that break them.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface SourceFile {
  /** From the root of the repository, with slashes: `libs/lane/lane.ts`. */
  readonly path: string;
  readonly text: string;
}

/** One line: where, and what is wrong there. */
export type Violation = string;

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Made by tools or by running the product; never committed. */
const NOT_OURS = new Set(['node_modules', 'dist', 'coverage', '.git', '.meridian', '.cache']);

/** Every text file of the repository, generated ones included. */
export function repositoryFiles(root = ROOT): SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (NOT_OURS.has(entry.name)) continue;
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile() && !/\.(binpb|log)$/.test(entry.name)) {
        files.push({ path: relative(root, path), text: readFileSync(path, 'utf8') });
      }
    }
  };
  visit(root);
  return files.sort((a, b) => a.path.localeCompare(b.path));
}

export function isTypeScript(file: SourceFile): boolean {
  return file.path.endsWith('.ts') && !isGenerated(file);
}

export function isGenerated(file: SourceFile): boolean {
  return file.path.startsWith('libs/gen/');
}

/** Tests, and what only tests use (`*.test-kit.ts`), may use what the code beside them may not. */
export function isTest(file: SourceFile): boolean {
  return /\.(test|test-kit)\.ts$/.test(file.path) || file.path.startsWith('test/');
}

/** The part a file belongs to: `libs/lane`, `services/journal`, `chaos`, `test`. */
export function partOf(path: string): string {
  const [top = '', name = ''] = path.split('/');
  return top === 'libs' || top === 'services' ? `${top}/${name}` : top;
}
