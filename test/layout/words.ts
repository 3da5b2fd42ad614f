/**
 * Text that must not be in the repository: paths of the machine it was written on, notes to oneself,
 * tests that are switched off, and addresses of a package registry in the lockfile.
 */
import type { SourceFile, Violation } from './source-files.ts';
import { isGenerated } from './source-files.ts';

interface Rule {
  readonly pattern: RegExp;
  readonly what: string;
  readonly applies: (path: string) => boolean;
}

const everywhere = (): boolean => true;
const code = (path: string): boolean => /\.(ts|mjs)$/.test(path);

// Written so that this file does not contain what it forbids.
const RULES: readonly Rule[] = [
  {
    pattern: /(^|[\s'"`(=:])\/(work|home|root|Users)\/\w/,
    what: 'a path of somebody’s machine',
    applies: everywhere,
  },
  {
    pattern: new RegExp(
      `\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`,
    ),
    what: 'a note to oneself',
    applies: code,
  },
  {
    pattern: /\b(describe|it|test)\.(only|skip|todo|fails)\b|\b(describe|it|test)\.skipIf\(/,
    what: 'a test that is switched off',
    applies: (path) => path.endsWith('.test.ts'),
  },
  {
    pattern: /"resolved": "http/,
    what: 'the address of a package registry',
    applies: (path) => path === 'package-lock.json',
  },
  {
    pattern: /@ts-(ignore|nocheck)|eslint-disable(?!-next-line [@\w/-]+ -- )/,
    what: 'a check switched off without a reason',
    applies: code,
  },
];

/** Its fixtures break the rules on purpose. */
const EXEMPT = new Set(['test/layout/words.ts', 'test/layout/layout.test.ts']);

export function forbiddenWords(files: readonly SourceFile[]): Violation[] {
  return files
    .filter((file) => !isGenerated(file) && !EXEMPT.has(file.path))
    .flatMap((file) => {
      const rules = RULES.filter((rule) => rule.applies(file.path));
      return file.text
        .split('\n')
        .flatMap((line, i) =>
          rules
            .filter((rule) => rule.pattern.test(line))
            .map((rule) => `${file.path}:${String(i + 1)}: ${rule.what}: ${line.trim()}`),
        );
    });
}
