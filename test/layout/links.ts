/**
 * What documents send their readers to: other files and headings of the repository, and scripts of package.json.
 * What lies outside is not asked for.
 */
import { posix } from 'node:path';
import type { SourceFile, Violation } from './source-files.ts';

/** `all`: what can be linked to. */
export function brokenLinks(
  documents: readonly SourceFile[],
  all: readonly SourceFile[],
): Violation[] {
  const texts = new Map(all.map(({ path, text }) => [path, text]));
  const folders = new Set(all.flatMap(({ path }) => foldersOf(path)));
  const packageText = texts.get('package.json') ?? '{}';
  const { scripts } = JSON.parse(packageText) as { scripts: Record<string, string> };
  return documents
    .filter(({ path }) => path.endsWith('.md'))
    .flatMap(({ path, text }) => {
      const prose = text.replace(/^```.*?^```/gms, '');
      const links = [...prose.matchAll(/\]\(([^)\s:#]*)(#[^)\s]*)?\)/g)]
        .map(([, to = '', heading = '']) => ({ to, heading }))
        .filter(({ to, heading }) => !leadsSomewhere(path, text, to, heading))
        .map(({ to, heading }) => `${path}: ${to}${heading} leads nowhere`);
      const commands = [...text.matchAll(/\bnpm run (?:-s )?([a-z][\w:-]*)/g)]
        .map(([, script = '']) => script)
        .filter((script) => scripts[script] === undefined)
        .map((script) => `${path}: there is no script ${script}`);
      return [...links, ...commands];
    });

  function leadsSomewhere(path: string, text: string, to: string, heading: string): boolean {
    const target = to === '' ? path : posix.join(posix.dirname(path), to).replace(/\/$/, '');
    const there = to === '' ? text : texts.get(target);
    if (there === undefined) return folders.has(target) && heading === '';
    return heading === '' || !target.endsWith('.md') || anchorsIn(there).has(heading);
  }
}

function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, depth) => parts.slice(0, depth + 1).join('/'));
}

/** As GitHub names headings: lower case, spaces as dashes, other signs gone. */
function anchorsIn(text: string): Set<string> {
  const headings = text.replace(/^```.*?^```/gms, '').matchAll(/^#{1,6} (.*)$/gm);
  return new Set(
    [...headings].map(([, heading = '']) => {
      const words = heading.replace(/\]\([^)]*\)/g, '').toLowerCase();
      return `#${words.replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-')}`;
    }),
  );
}
