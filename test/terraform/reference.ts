/**
 * The reference part of a module's README, made of its own files: requirements, resources, inputs and
 * outputs as tables, between the markers that terraform-docs uses. Reads formatted HCL only.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const BEGIN = '<!-- BEGIN_TF_DOCS -->';
const END = '<!-- END_TF_DOCS -->';

interface Block {
  readonly labels: readonly string[];
  readonly body: string;
}

/** The README with its reference as it should be now. */
export function withReference(readme: string, directory: string): string {
  const [before, rest] = readme.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`no ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n\n${referenceOf(directory)}\n${END}${after}`;
}

export function variablesOf(directory: string): string[] {
  return blocks(directory, 'variable').map(({ labels }) => labels[0] ?? '');
}

/** Text of all .tf files of a folder, without those below. */
export function codeOf(directory: string): string {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.tf'))
    .sort()
    .map((name) => readFileSync(join(directory, name), 'utf8'))
    .join('\n');
}

function referenceOf(directory: string): string {
  const versions = [
    ['terraform', /required_version = "(.*)"/.exec(codeOf(directory))?.[1] ?? ''],
    ['aws', /source {2}= "hashicorp\/aws"\s+version = "(.*)"/.exec(codeOf(directory))?.[1] ?? ''],
  ];
  const modules = blocks(directory, 'module').map(({ labels, body }) => [
    code(labels[0]),
    code(/^ {2}source\s+= "(.*)"/m.exec(body)?.[1]),
  ]);
  const resources = [...new Set(blocks(directory, 'resource').map(({ labels }) => labels[0]))];
  const inputs = blocks(directory, 'variable').map(({ labels, body }) => {
    const fallback = argument(body, 'default');
    const type = argument(body, 'type') ?? 'any';
    const shown = /^\w+(\(\w+(\(\w+\))?\))?$/.test(type) ? code(type) : code(type.split('(')[0]);
    return [
      code(labels[0]),
      text(argument(body, 'description')),
      shown,
      fallback === undefined ? 'required' : code(fallback.replace(/\s+/g, ' ')),
    ];
  });
  const outputs = blocks(directory, 'output').map(({ labels, body }) => [
    code(labels[0]),
    text(argument(body, 'description')),
  ]);
  return [
    section(
      'Requirements',
      ['Name', 'Version'],
      versions.map(([name, version]) => [name ?? '', version ?? '']),
    ),
    section('Modules', ['Name', 'Source'], modules),
    resources.length === 0
      ? ''
      : `## Resources\n\n${resources
          .sort()
          .map((type) => code(type))
          .join(', ')}\n`,
    section('Inputs', ['Name', 'Description', 'Type', 'Default'], inputs),
    ...blocks(directory, 'variable').map(({ labels, body }) => {
      const type = argument(body, 'type') ?? '';
      const inner = type.replace(/^ {2}/gm, '');
      return type.includes('\n') ? `### ${code(labels[0])}\n\n\`\`\`hcl\n${inner}\n\`\`\`\n` : '';
    }),
    section('Outputs', ['Name', 'Description'], outputs),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function section(
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  if (rows.length === 0) return '';
  const escaped = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const width = head.map((name, column) =>
    Math.max(name.length, ...escaped.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(width[column] ?? 0)).join(' | ')} |`;
  const rule = line(width.map((columns) => '-'.repeat(columns)));
  return [`## ${title}`, '', line(head), rule, ...escaped.map(line), ''].join('\n');
}

function blocks(directory: string, kind: string): Block[] {
  const pattern = new RegExp(`^${kind} ((?:"[^"]*" ?)+)\\{\\n([\\s\\S]*?)^\\}`, 'gm');
  return [...codeOf(directory).matchAll(pattern)].map(([, labels = '', body = '']) => ({
    labels: [...labels.matchAll(/"([^"]*)"/g)].map(([, label = '']) => label),
    body,
  }));
}

/** An argument at the top of a block, over as many lines as it takes. */
function argument(body: string, name: string): string | undefined {
  const start = new RegExp(
    `^ {2}${name}\\s+= ([^\\n]*(?:\\n {4}[^\\n]*|\\n {2}[\\]})]+[^\\n]*)*)`,
    'm',
  );
  return start.exec(body)?.[1];
}

function text(quoted: string | undefined): string {
  return (quoted ?? '').replace(/^"|"$/g, '').replaceAll('\\"', '"');
}

function code(value: string | undefined): string {
  return `\`${value ?? ''}\``;
}
