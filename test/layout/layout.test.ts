/** The layout of this repository, checked; and each check tried on a file that breaks it. */
import { describe, expect, it } from 'vitest';
import { directionsFrom, undocumentedParts, wrongImports } from './imports.ts';
import { enums, impurities } from './purity.ts';
import { brokenLinks } from './links.ts';
import { missingDocuments, missingHeaders, tooLong, unknownTopLevel, vagueNames } from './shape.ts';
import { repositoryFiles } from './source-files.ts';
import type { SourceFile, Violation } from './source-files.ts';
import { forbiddenWords } from './words.ts';

const files = repositoryFiles();
const architecture = files.find((file) => file.path === 'ARCHITECTURE.md')?.text ?? '';
const directions = directionsFrom(architecture);

interface Rule {
  readonly says: string;
  readonly check: (files: readonly SourceFile[]) => Violation[];
  /** Path and text of files, each of which alone must be objected to. */
  readonly broken: readonly (readonly [path: string, text: string])[];
  /** Files that look close to a violation and are none. */
  readonly fine: readonly (readonly [path: string, text: string])[];
}

const rules: readonly Rule[] = [
  {
    says: 'imports go in the directions of ARCHITECTURE.md, packages stay in their adapter',
    check: (some) => wrongImports(some, directions),
    broken: [
      ['libs/values/a.ts', `import { x } from '../errors/errors.ts';`],
      ['libs/lane/a.ts', `import type { x } from '../order/types.ts';`],
      ['libs/lane/a.ts', `import { readFileSync } from 'node:fs';`],
      ['libs/order/a.ts', `const zod = await import('zod');`],
      ['libs/storage/a.ts', `import { x } from '../rpc/server.ts';`],
      ['libs/storage/a.ts', `import { x } from '../lane/lane.ts';`],
      ['libs/client/a.ts', `export * from '../lane/lane.ts';`],
      ['libs/applier/kv/a.ts', `import { x } from '../../client/client.ts';`],
      ['libs/postgres/a.ts', `import * as grpc from '@grpc/grpc-js';`],
      ['services/journal/a.ts', `import { x } from '../crossbar/main.ts';`],
      ['services/journal/a.ts', `import pg from 'pg';`],
      ['chaos/a.ts', `import { x } from '../services/journal/main.ts';`],
      ['chaos/a.ts', `import { x } from '../libs/storage/log.ts';`],
      ['chaos/a.ts', `import * as grpc from '@grpc/grpc-js';`],
      ['libs/nowhere/a.ts', `import { x } from '../values/numbers.ts';`],
    ],
    fine: [
      ['libs/lane/a.ts', `import { x } from '../merge/merge.ts'; import { y } from './clock.ts';`],
      ['libs/frames/a.ts', `import { crc32 } from 'node:zlib';`],
      ['libs/lane/a.test.ts', `import fc from 'fast-check'; import { x } from '../order/a.ts';`],
      ['services/journal/a.ts', `import { x } from '../../libs/lane/lane.ts';`],
      ['chaos/a.ts', `import { x } from '../libs/client/client.ts'; import pg from 'pg';`],
    ],
  },
  {
    says: 'pure parts contain nothing whose result is not decided by its arguments',
    check: impurities,
    broken: [
      ['libs/lane/a.ts', 'const now = Date.now();'],
      ['libs/merge/a.ts', 'const x = Math.random();'],
      ['libs/values/a.ts', 'setTimeout(() => {}, 1);'],
      ['libs/order/a.ts', 'export async function f() {}'],
      ['libs/order/a.ts', 'export function f(): Promise<void> { return g(); }'],
      ['libs/frames/a.ts', 'const t = performance.now();'],
      ['libs/errors/a.ts', 'process.exit(1);'],
      ['libs/lane/a.ts', 'export const clock = { Date };'],
    ],
    fine: [
      [
        'libs/lane/a.ts',
        '// Date.now() would be wrong here\nconst x = input.Date; x.performance();',
      ],
      ['libs/lane/a.test.ts', 'const now = Date.now();'],
      ['libs/storage/a.ts', 'const now = Date.now();'],
    ],
  },
  {
    says: 'no enum',
    check: enums,
    broken: [['libs/storage/a.ts', 'export enum Color { Red }']],
    fine: [['libs/storage/a.ts', `export type Color = 'red';`]],
  },
  {
    says: 'no file is longer than 500 lines',
    check: tooLong,
    broken: [['libs/storage/a.ts', 'x;\n'.repeat(501)]],
    fine: [
      ['libs/storage/a.ts', 'x;\n'.repeat(500)],
      ['libs/gen/meridian/a.ts', 'x;\n'.repeat(2000)],
    ],
  },
  {
    says: 'names say what is inside, in kebab-case',
    check: vagueNames,
    broken: [
      ['libs/utils/a.ts', ''],
      ['services/journal/helpers.ts', ''],
      ['libs/shared/README.md', ''],
      ['libs/lane/laneLog.ts', ''],
    ],
    fine: [['libs/lane/lane-log.test.ts', '']],
  },
  {
    says: 'the top level is fixed',
    check: unknownTopLevel,
    broken: [['scripts/a.sh', '']],
    fine: [
      ['README.md', ''],
      ['libs/a/b.ts', ''],
    ],
  },
  {
    says: 'every file begins with what it is for',
    check: missingHeaders,
    broken: [['libs/storage/a.ts', `import { x } from './x.ts';\nexport const y = x;`]],
    fine: [
      ['libs/storage/a.ts', '/** Why. */\nexport const y = 1;'],
      ['libs/storage/a.test.ts', 'it();'],
    ],
  },
  {
    says: 'nothing of one machine, no notes, no test or check switched off',
    check: forbiddenWords,
    broken: [
      ['README.md', 'see /home/me/notes'],
      ['libs/a/a.ts', `open('/work/x');`],
      ['libs/a/a.ts', '// TODO: later'],
      ['libs/a/a.test.ts', `it.skip('does', () => {});`],
      ['libs/a/a.test.ts', `describe.only('all', () => {});`],
      ['package-lock.json', '"resolved": "https://registry.example/a.tgz"'],
      ['libs/a/a.ts', '// eslint-disable-next-line no-console'],
      ['libs/a/a.ts', '// @ts-ignore'],
    ],
    fine: [
      ['README.md', 'work/home is a path like any other; /worker/a too'],
      ['libs/a/a.ts', '// eslint-disable-next-line no-console -- the command prints'],
    ],
  },
  {
    says: 'documents send their readers to what is there',
    check: (some) => brokenLinks(some, files),
    broken: [
      ['README.md', 'see [this](libs/lane/GONE.md)'],
      ['libs/lane/README.md', 'see [this](libs/lane/SPEC.md)'],
      ['README.md', 'see [this](SECURITY.md#what-nobody-wrote)'],
      ['README.md', '# One\n\n[two](#two)'],
      ['README.md', '`npm run unheard-of -- x`'],
    ],
    fine: [
      [
        'libs/lane/README.md',
        '[spec](SPEC.md), [parts](../../ARCHITECTURE.md#the-parts), [lib](..)',
      ],
      ['README.md', '# One: `two`\n\n[here](#one-two), [there](https://example.com/gone.md)'],
      ['README.md', '```\n[not](a/link.md)\n```\n\n`npm run -s meridian -- help`'],
    ],
  },
];

/** To read and parse every file, on a machine that has much else to do. */
const MINUTE_MS = 60_000;

describe.each(rules)('$says', ({ check, broken, fine }) => {
  it('holds in this repository', { timeout: MINUTE_MS }, () => {
    expect(check(files)).toEqual([]);
  });

  it('objects to a file that breaks it', () => {
    for (const [path, text] of broken) {
      expect(check([{ path, text }]), `${path}: ${text.slice(0, 80)}`).toHaveLength(1);
    }
  });

  it('accepts what only looks like it', () => {
    for (const [path, text] of fine) expect(check([{ path, text }])).toEqual([]);
  });
});

describe('every folder is in the table of ARCHITECTURE.md, and every row has its folder', () => {
  it('holds in this repository', () => {
    expect(undocumentedParts(files, directions)).toEqual([]);
  });

  it('objects to a folder without a row and to a row without a folder', () => {
    const table = directionsFrom('| `libs/a` | one | nothing |\n| `libs/gone` | two | a |\n');
    const some = ['libs/a/a.ts', 'services/new/main.ts'].map((path) => ({ path, text: '' }));
    expect(undocumentedParts(some, table)).toEqual([
      'services/new: has no row in the table of ARCHITECTURE.md',
      'ARCHITECTURE.md: libs/gone does not exist',
    ]);
  });
});

describe('every service has a README and every core a SPEC', () => {
  it('holds in this repository', () => {
    expect(missingDocuments(files)).toEqual([]);
  });

  it('objects to what is missing', () => {
    const some = [
      'services/journal/main.ts',
      'services/crossbar/README.md',
      'libs/lane/SPEC.md',
      'libs/merge/SPEC.md',
    ].map((path) => ({ path, text: '' }));
    expect(missingDocuments(some)).toEqual([
      'services/journal/README.md: missing',
      'libs/order/SPEC.md: missing',
    ]);
  });
});
