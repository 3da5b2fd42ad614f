/**
 * What a zod object says about its settings: their paths, types, descriptions and defaults, and the
 * names they have as flags and in the environment. Only reads the schema; judges nothing.
 */
import { z } from 'zod';

export interface Setting {
  /** Keys from the top, for example ['storage', 'segmentBytes']. */
  readonly path: readonly string[];
  /** --storage-segment-bytes */
  readonly flag: string;
  /** MERIDIAN_STORAGE_SEGMENT_BYTES */
  readonly environment: string;
  /** How text from a flag or the environment is read; `yaml` for lists and maps. */
  readonly type: 'string' | 'number' | 'boolean' | 'list' | 'yaml';
  /** What is expected, for people. */
  readonly expected: string;
  readonly description: string;
  readonly defaultValue: unknown;
  readonly required: boolean;
  /** Marked with `.meta({ secret: true })`: never printed. */
  readonly secret: boolean;
}

type Schema = z.core.$ZodType;

/** Every leaf of a (nested) object schema, in its order. */
export function settingsOf(schema: z.ZodObject, path: readonly string[] = []): Setting[] {
  return Object.entries<Schema>(schema.shape).flatMap(([key, field]) => {
    const inner = unwrapped(field);
    const here = [...path, key];
    return inner.schema instanceof z.ZodObject
      ? settingsOf(inner.schema, here)
      : [settingOf(here, field, inner)];
  });
}

interface Unwrapped {
  readonly schema: Schema;
  readonly required: boolean;
  readonly defaultValue: unknown;
}

function settingOf(path: readonly string[], field: Schema, inner: Unwrapped): Setting {
  const words = path.map((key) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
  const name = words.join('-');
  const meta = { ...z.globalRegistry.get(inner.schema), ...z.globalRegistry.get(field) };
  return {
    path,
    flag: `--${name}`,
    environment: `MERIDIAN_${name.replaceAll('-', '_').toUpperCase()}`,
    type: typeOf(inner.schema),
    expected: expectedOf(inner.schema),
    description: meta.description ?? '',
    defaultValue: inner.defaultValue,
    required: inner.required,
    secret: meta['secret'] === true,
  };
}

/** Looks through optional, default, nullable and refinements at what a value is. */
function unwrapped(schema: Schema): Unwrapped {
  let current = schema;
  let required = true;
  let defaultValue: unknown;
  for (;;) {
    if (current instanceof z.ZodDefault || current instanceof z.ZodPrefault) {
      defaultValue ??= current.def.defaultValue;
      required = false;
      current = current.def.innerType;
    } else if (current instanceof z.ZodOptional || current instanceof z.ZodNullable) {
      required = false;
      current = current.def.innerType;
    } else if (current instanceof z.ZodReadonly) current = current.def.innerType;
    else if (current instanceof z.ZodPipe) current = current.def.in;
    else return { schema: current, required, defaultValue };
  }
}

function typeOf(schema: Schema): Setting['type'] {
  if (schema instanceof z.ZodNumber) return 'number';
  if (schema instanceof z.ZodBoolean) return 'boolean';
  if (schema instanceof z.ZodArray)
    return unwrapped(schema.def.element).schema instanceof z.ZodString ? 'list' : 'yaml';
  if (schema instanceof z.ZodRecord || schema instanceof z.ZodTuple) return 'yaml';
  if (schema instanceof z.ZodUnion || schema instanceof z.ZodLiteral) return 'yaml';
  return 'string';
}

function expectedOf(schema: Schema): string {
  if (schema instanceof z.ZodEnum) return schema.options.join('|');
  const type = typeOf(schema);
  return type === 'list' ? 'a,b,…' : type === 'yaml' ? 'YAML' : type;
}
