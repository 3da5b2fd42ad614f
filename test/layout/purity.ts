/**
 * What a pure part must not contain: anything whose result is not decided by its arguments. Imports
 * are the business of imports.ts; this looks at the code itself, by syntax tree, so that a word in a
 * comment or a property that happens to be called `performance` is not a violation.
 */
import ts from 'typescript';
import { PURE } from './imports.ts';
import type { SourceFile, Violation } from './source-files.ts';
import { isTest, isTypeScript, partOf } from './source-files.ts';

const GLOBALS = new Set([
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'Promise',
  'process',
  'crypto',
  'fetch',
  'console',
  'globalThis',
]);

export function impurities(files: readonly SourceFile[]): Violation[] {
  return files
    .filter((file) => PURE.includes(partOf(file.path)) && isTypeScript(file) && !isTest(file))
    .flatMap((file) =>
      syntaxViolations(file, (node) => {
        if (ts.isIdentifier(node) && GLOBALS.has(node.text) && isFreeName(node)) {
          return `${node.text} in a pure part`;
        }
        if (ts.isPropertyAccessExpression(node) && node.getText() === 'Math.random') {
          return 'Math.random in a pure part';
        }
        if (ts.isAwaitExpression(node) || node.kind === ts.SyntaxKind.AsyncKeyword) {
          return 'async code in a pure part';
        }
        return null;
      }),
    );
}

/** Syntax that leaves code behind at run time, which erasing the types would break. */
export function enums(files: readonly SourceFile[]): Violation[] {
  return files
    .filter((file) => isTypeScript(file))
    .flatMap((file) =>
      syntaxViolations(file, (node) => (ts.isEnumDeclaration(node) ? 'an enum' : null)),
    );
}

function syntaxViolations(file: SourceFile, check: (node: ts.Node) => string | null): Violation[] {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ES2023, true);
  const violations: Violation[] = [];
  const visit = (node: ts.Node): void => {
    const problem = check(node);
    if (problem !== null) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      violations.push(`${file.path}:${String(line + 1)}: ${problem}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return violations;
}

/** Not a property's name, nor the name under which something is declared. */
function isFreeName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false;
  if (ts.isQualifiedName(parent) && parent.right === node) return false;
  return !('name' in parent && parent.name === node && !ts.isShorthandPropertyAssignment(parent));
}
