/**
 * Makes aws-schema.json: what hashicorp/aws knows of the resources that terraform/ uses, read out of
 * the generated bindings in npm's @cdktf/provider-aws, because the provider itself is too large to be
 * had in a test. A developer's tool, run again when a module uses a new resource:
 *
 *   npm pack @cdktf/provider-aws@21.22.1 && tar xzf cdktf-provider-aws-21.22.1.tgz
 *   npm run build && node dist/test/terraform/fake-aws/extract-schema.js package
 *
 * The bindings do not tell "optional" from "optional and computed", and know no allowed values.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Block, Nesting, Schema } from './schema.ts';
import { SCHEMA_FILE } from './schema.ts';

const TERRAFORM = join(process.cwd(), 'terraform');

/** Types of values in the bindings, as Terraform's own type expressions. */
const TYPES: Readonly<Record<string, unknown>> = {
  string: 'string',
  number: 'number',
  boolean: 'bool',
  stringList: ['list', 'string'],
  numberList: ['list', 'number'],
  stringMap: ['map', 'string'],
};
const GETTERS: Readonly<Record<string, unknown>> = {
  getStringAttribute: 'string',
  getNumberAttribute: 'number',
  getBooleanAttribute: 'bool',
  getListAttribute: ['list', 'string'],
  getStringMapAttribute: ['map', 'string'],
};

function extract(directory: string): void {
  const used = usedTypes();
  const schema: Schema = { resources: {}, data: {} };
  for (const kind of ['resources', 'data'] as const) {
    for (const type of used[kind]) schema[kind][type] = bindingOf(directory, kind, type);
  }
  const lines = (['resources', 'data'] as const).map((kind) => {
    const entries = Object.entries(schema[kind]).sort(([a], [b]) => a.localeCompare(b));
    const body = entries.map(([type, block]) => `    "${type}": ${JSON.stringify(block)}`);
    return `  "${kind}": {\n${body.join(',\n')}\n  }`;
  });
  writeFileSync(SCHEMA_FILE, `{\n${lines.join(',\n')}\n}\n`);
}

/** What the modules and examples name, from their text. */
function usedTypes(): { resources: Set<string>; data: Set<string> } {
  const used = { resources: new Set<string>(), data: new Set<string>() };
  for (const path of readdirSync(TERRAFORM, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.tf') || path.includes('.terraform/')) continue;
    const text = readFileSync(join(TERRAFORM, path), 'utf8');
    for (const [, kind, type] of text.matchAll(/^(resource|data) "(aws_\w+)"/gm)) {
      used[kind === 'data' ? 'data' : 'resources'].add(type ?? '');
    }
  }
  return used;
}

function bindingOf(directory: string, kind: 'resources' | 'data', type: string): Block {
  const name = type.replace(/^aws_/, '').replaceAll('_', '-');
  const folders = kind === 'data' ? [`data-aws-${name}`] : [name, `aws-${name}`];
  // Names that would collide with JavaScript's got a suffix: s3-bucket, but route → route.
  const folder = folders
    .map((candidate) => join(directory, 'lib', candidate))
    .find((candidate) => existsSync(candidate));
  if (folder === undefined) throw new Error(`no binding for ${kind} ${type}`);
  return new Binding(
    readFileSync(join(folder, 'index.js'), 'utf8'),
    readFileSync(join(folder, 'index.d.ts'), 'utf8'),
  ).root();
}

/** One generated file: a class for the resource, and a class and two functions for each block. */
class Binding {
  readonly #code: string;
  readonly #types: string;

  constructor(code: string, types: string) {
    this.#code = code;
    this.#types = types.replace(/\/\*[\s\S]*?\*\//g, '');
  }

  root(): Block {
    const name = /^(\w+)\.tfResourceType = /m.exec(this.#code)?.[1] ?? '';
    const hcl = between(this.#code, 'synthesizeHclAttributes() {', '// remove undefined');
    return this.#block(`${name}Config`, hcl, this.#classNamed(name));
  }

  #nested(name: string): Block {
    const functionName = `${name.charAt(0).toLowerCase()}${name.slice(1)}ToHclTerraform`;
    const hcl = between(this.#code, `function ${functionName}(struct) {`, '// remove undefined');
    return this.#block(name, hcl, this.#classNamed(`${name}OutputReference`));
  }

  #block(interfaceName: string, hcl: string, classText: string): Block {
    const block: Block = { attributes: {}, blocks: {} };
    const declared = between(this.#types, `export interface ${interfaceName} `, '\n}');
    const settable =
      /(\w+): \{\s+value: ([^\n]*),\s+isBlock: (\w+),\s+type: "(\w+)",\s+storageClassType: "(\w+)"/g;
    for (const [, name = '', , isBlock, shape = '', storage = ''] of hcl.matchAll(settable)) {
      const property = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
      const required = new RegExp(`readonly ${property}: `).test(declared);
      if (isBlock === 'true') {
        const single =
          shape === 'struct' || new RegExp(`readonly ${property}\\??: \\w+;`).test(declared);
        const nesting: Nesting = shape === 'set' ? 'set' : shape === 'struct' ? 'single' : 'list';
        block.blocks[name] = {
          nesting: name === 'timeouts' ? 'single' : nesting,
          ...(required ? { required } : {}),
          ...(single && nesting === 'list' ? { max: 1 } : {}),
          ...this.#nested(storage.replace(/List$/, '')),
        };
      } else {
        const type = TYPES[storage];
        if (type === undefined) throw new Error(`${interfaceName}.${name}: type ${storage}`);
        const flag = required ? 'required' : name === 'id' || name === 'arn' ? 'both' : 'optional';
        block.attributes[name] = [shape === 'set' ? ['set', 'string'] : type, flag];
      }
    }
    const computed =
      /\/\/ (\w+) - computed: true, optional: false[^\n]*\n\s+(?:get \w+\(\) \{\s+)?([^\n]*)/g;
    for (const [, name = '', code = ''] of classText.matchAll(computed)) {
      const getter = /(get\w+Attribute)\(/.exec(code)?.[1];
      const list = /new (\w+)List\(/.exec(code)?.[1];
      if (getter !== undefined) block.attributes[name] = [GETTERS[getter] ?? 'string', 'computed'];
      else if (list !== undefined) {
        block.attributes[name] = [['list', objectType(this.#computedObject(list))], 'computed'];
      }
    }
    return block;
  }

  #computedObject(name: string): Block {
    return this.#block(name, '', this.#classNamed(`${name}OutputReference`));
  }

  #classNamed(name: string): string {
    return between(this.#code, `class ${name} extends`, '\n}');
  }
}

function objectType(block: Block): unknown {
  return [
    'object',
    Object.fromEntries(Object.entries(block.attributes).map(([name, [type]]) => [name, type])),
  ];
}

function between(text: string, from: string, to: string): string {
  const start = text.indexOf(from);
  if (start < 0) return '';
  const end = text.indexOf(to, start);
  return text.slice(start, end < 0 ? undefined : end);
}

extract(process.argv[2] ?? 'package');
