/**
 * What a command is, as data: one table (table/) from which the parser, the help, the completion and the
 * reference in README.md all come, so that they cannot disagree. Holds no behaviour; a command's code
 * is loaded only when it runs.
 */
import type { Invocation } from './invocation.ts';

/** What an option or argument takes; the parser turns text into the value and says what is wrong. */
export type ValueKind =
  | { readonly kind: 'text' }
  /** A file or directory; whether it is there is not looked at. */
  | { readonly kind: 'path' }
  /** A whole number. */
  | { readonly kind: 'count'; readonly least?: number; readonly most?: number }
  /** `500ms`, `5s`, `2m`, `1h`; a bare number is seconds. Milliseconds in the program. */
  | { readonly kind: 'duration'; readonly leastMs?: number; readonly mostMs?: number }
  /** `64KiB`, `1MiB`, `500`. */
  | { readonly kind: 'bytes'; readonly least?: number; readonly most?: number }
  /** ISO 8601, microseconds since 1970, `now`, or `-5m` (before now). Microseconds in the program. */
  | { readonly kind: 'time' }
  | { readonly kind: 'choice'; readonly choices: readonly string[] };

export interface OptionSpec {
  /** Without the dashes. */
  readonly name: string;
  readonly short?: string;
  /** What stands for the value in help, `<n>`; an option without one is a switch. */
  readonly placeholder?: string;
  readonly value?: ValueKind;
  /** May be given more than once. */
  readonly repeated?: boolean;
  readonly required?: boolean;
  /** One or two lines: what it means, the unit, the bound. */
  readonly help: string;
  /** In words, for help. */
  readonly defaultText?: string;
  readonly environment?: string;
}

export interface ArgumentSpec {
  readonly name: string;
  readonly value?: ValueKind;
  readonly help: string;
  readonly optional?: boolean;
  /** The last one may take all that is left. */
  readonly repeated?: boolean;
}

export interface ExampleSpec {
  /** What it is good for. */
  readonly text: string;
  /** Without the prompt; starts with `meridian`, or pipes into it. */
  readonly command: string;
}

export interface FieldSpec {
  readonly name: string;
  readonly help: string;
}

export interface JsonSpec {
  /** `document`: one JSON value; `lines`: one a line. */
  readonly form: 'document' | 'lines';
  readonly fields: readonly FieldSpec[];
}

export interface CommandSpec {
  /** `['streams', 'list']` */
  readonly path: readonly string[];
  /** One line, for lists. */
  readonly summary: string;
  /** Paragraphs: what it means, what it promises, what it does not. */
  readonly about: readonly string[];
  readonly args?: readonly ArgumentSpec[];
  /** Words after `--` are taken as they are; what stands for them in help. */
  readonly rest?: { readonly name: string; readonly help: string };
  readonly options?: readonly OptionSpec[];
  /** Only asks: whatever becomes of it, nothing has changed. */
  readonly asks?: boolean;
  /** Takes the options that say which cluster is meant. */
  readonly connects: boolean;
  /** null: the output is not for programs. */
  readonly json: JsonSpec | null;
  /** Exit codes beyond those that every command has, with what they mean here. */
  readonly exits?: readonly { readonly code: number; readonly help: string }[];
  /** Two at least. */
  readonly examples: readonly ExampleSpec[];
  readonly load: () => Promise<{ readonly run: (call: Invocation) => Promise<number> }>;
}

/** `streams`, `lease`: a word that only leads to commands. */
export interface GroupSpec {
  readonly name: string;
  readonly summary: string;
}
