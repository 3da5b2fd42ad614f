/**
 * Who may import whom. The allowed directions between parts are read from the table in
 * ARCHITECTURE.md, so that what is documented and what is enforced cannot differ; which packages a
 * part may use is stated here.
 */
import { posix } from 'node:path';
import ts from 'typescript';
import type { SourceFile, Violation } from './source-files.ts';
import { isTest, isTypeScript, partOf } from './source-files.ts';

/** Parts without any input or output: pure values and cores. */
export const PURE = [
  'libs/values',
  'libs/errors',
  'libs/frames',
  'libs/merge',
  'libs/lane',
  'libs/order',
];

/** Packages beyond the part's own code. An adapter owns its packages: nobody else imports them. */
const PACKAGES: Readonly<Record<string, readonly RegExp[]>> = {
  'libs/frames': [/^node:zlib$/, /^node:buffer$/],
  'libs/files': [/^node:fs$/],
  'libs/storage': [/^node:/],
  'libs/archive': [/^node:/, /^@aws-sdk\/client-s3$/],
  'libs/rpc': [/^node:/, /^@grpc\//, /^@bufbuild\/protobuf/, /^grpc-health-check$/],
  'libs/http': [/^node:/, /^@bufbuild\/protobuf/],
  'libs/telemetry': [/^node:/, /^pino$/, /^hdr-histogram-js$/],
  'libs/config': [/^node:/, /^zod$/, /^yaml$/],
  'libs/security': [/^node:/],
  'libs/processes': [/^node:/],
  'libs/postgres': [/^node:/, /^pg$/],
  'libs/gen': [/^@bufbuild\/protobuf/],
  // Messages are made with `create` of the same runtime that the generated code needs.
  'libs/client': [/^node:/, /^@bufbuild\/protobuf/],
  'libs/applier': [/^node:/, /^@bufbuild\/protobuf/],
  // Chaos looks at databases from outside, as their users do, and drives the proxy by its own client.
  chaos: [/^node:/, /^@bufbuild\/protobuf/, /^zod$/, /^pg$/, /^toxiproxy-node-client$/],
  // Its yardstick is what the bare transport can do.
  'services/bench': [/^node:/, /^@bufbuild\/protobuf/, /^@grpc\/grpc-js$/],
};
// A service states its settings as a zod schema, which libs/config reads them by.
const SERVICE_PACKAGES = [/^node:/, /^@bufbuild\/protobuf/, /^zod$/];

/** `libs/lane` → the parts it may import, from the table in ARCHITECTURE.md. */
export type Directions = ReadonlyMap<string, readonly string[]>;

/** Rows look like "| `libs/lane` | what it is | values, merge |". */
export function directionsFrom(architecture: string): Directions {
  const directions = new Map<string, string[]>();
  for (const row of architecture.matchAll(/^\| `([^`]+)`\s*\|[^|]*\|([^|]*)\|\s*$/gm)) {
    const part = row[1] ?? '';
    const names = (row[2] ?? '').trim();
    const parts =
      names === 'any lib'
        ? ['libs/*']
        : names
            .split(',')
            .map((name) => name.trim())
            .filter((name) => name !== '' && name !== 'nothing')
            .map((name) => `libs/${name}`);
    directions.set(part, parts);
  }
  return directions;
}

/** Imports between parts and of packages that the table does not allow. */
export function wrongImports(files: readonly SourceFile[], directions: Directions): Violation[] {
  const violations: Violation[] = [];
  for (const file of files.filter((it) => isTypeScript(it) && !isTest(it))) {
    const part = partOf(file.path);
    if (!/^(libs|services)\//.test(part) && part !== 'chaos') continue;
    for (const target of importsOf(file)) {
      const problem = target.startsWith('.')
        ? wrongPart(part, partOf(posix.join(posix.dirname(file.path), target)), directions)
        : wrongPackage(part, target);
      if (problem !== null) violations.push(`${file.path}: ${problem}`);
    }
  }
  return violations;
}

/** Folders without a row in the table, and rows without a folder. */
export function undocumentedParts(
  files: readonly SourceFile[],
  directions: Directions,
): Violation[] {
  const parts = new Set(
    files.map((file) => partOf(file.path)).filter((part) => /^(libs|services)\/[^.]+$/.test(part)),
  );
  return [
    ...[...parts]
      .filter((part) => !directions.has(part))
      .map((part) => `${part}: has no row in the table of ARCHITECTURE.md`),
    ...[...directions.keys()]
      .filter((part) => !parts.has(part))
      .map((part) => `ARCHITECTURE.md: ${part} does not exist`),
  ];
}

/** Every module the file names, dynamic imports and types included. */
export function importsOf(file: SourceFile): string[] {
  return ts.preProcessFile(file.text).importedFiles.map((it) => it.fileName);
}

function wrongPart(from: string, to: string, directions: Directions): string | null {
  if (from === to) return null;
  if (from === 'chaos') {
    const allowed = [
      'libs/client',
      'libs/applier',
      'libs/gen',
      'libs/processes',
      'libs/postgres',
      'libs/rpc',
      ...PURE,
    ];
    return allowed.includes(to) ? null : `chaos must not import ${to}`;
  }
  const allowed = directions.get(from) ?? [];
  if (allowed.includes(to) || (allowed.includes('libs/*') && to.startsWith('libs/'))) return null;
  return `${from} must not import ${to} (ARCHITECTURE.md)`;
}

function wrongPackage(part: string, name: string): string | null {
  const allowed = PACKAGES[part] ?? (part.startsWith('services/') ? SERVICE_PACKAGES : []);
  return allowed.some((it) => it.test(name)) ? null : `${part} must not import ${name}`;
}
