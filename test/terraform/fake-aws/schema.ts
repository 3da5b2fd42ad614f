/**
 * Schemas of the AWS resources that terraform/ uses, as the fake provider announces them. The data is
 * aws-schema.json, extracted (extract-schema.ts) from the bindings of hashicorp/aws 6.25.0 in npm's
 * @cdktf/provider-aws 21.22.1 (MPL-2.0): names, types and nesting only.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../layout/source-files.ts';

/** From the root of the repository. */
export const SCHEMA_FILE = 'test/terraform/fake-aws/aws-schema.json';

/** `both`: may be given, is filled in otherwise. */
export type Flag = 'required' | 'optional' | 'computed' | 'both';
export type Nesting = 'single' | 'list' | 'set';

export interface Block {
  /** Type expression of Terraform (`"string"`, `["list","string"]`) and flag, by name. */
  attributes: Record<string, [type: unknown, flag: Flag]>;
  blocks: Record<string, NestedBlock>;
}

export interface NestedBlock extends Block {
  nesting: Nesting;
  required?: true;
  max?: number;
}

export interface Schema {
  resources: Record<string, Block>;
  data: Record<string, Block>;
}

export function loadSchema(): Schema {
  return JSON.parse(readFileSync(join(ROOT, SCHEMA_FILE), 'utf8')) as Schema;
}

/** In the provider protocol's own words. */
export function protocolSchema(block: Block): object {
  return { version: 0, block: protocolBlock(block) };
}

function protocolBlock(block: Block): object {
  return {
    attributes: Object.entries(block.attributes).map(([name, [type, flag]]) => ({
      name,
      type: Buffer.from(JSON.stringify(type)),
      required: flag === 'required',
      optional: flag === 'optional' || flag === 'both',
      computed: flag === 'computed' || flag === 'both',
    })),
    block_types: Object.entries(block.blocks).map(([type_name, nested]) => ({
      type_name,
      block: protocolBlock(nested),
      nesting: nested.nesting.toUpperCase(),
      min_items: nested.required === true && nested.nesting !== 'single' ? 1 : 0,
      max_items: nested.max ?? 0,
    })),
  };
}
