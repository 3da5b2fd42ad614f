/**
 * What a change of the key-value store looks like in the journal: one record, keyed by what it changes.
 * What it does is decided where it is applied, by every copy alike, because only there its place in
 * the order is known.
 */
import type { RecordInput, RecordView } from '../../frames/batch.ts';

export type Command =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }
  /** Takes effect only if the key was last changed at this revision; 0: if it does not exist. */
  | {
      readonly kind: 'swap';
      readonly key: string;
      readonly expected: number;
      readonly value: string;
    };

/** `id` names the command, so that whoever sent it recognizes it when it is applied. */
export function recordOf(command: Command, id: string): RecordInput {
  const { kind, key } = command;
  const value = kind === 'delete' ? '' : command.value;
  const expected = kind === 'swap' ? String(command.expected) : '';
  const headers = Object.entries({ kind, id, expected });
  return {
    key: Buffer.from(key),
    headers: headers.map(([name, text]) => [name, Buffer.from(text)] as const),
    body: Buffer.from(value),
  };
}

/** null: not one of ours; every copy leaves it out alike. */
export function commandOf(record: RecordView): { command: Command; id: string } | null {
  const headers = new Map(record.headers.map(([name, bytes]) => [name, textOf(bytes)]));
  const [kind, id = ''] = [headers.get('kind'), headers.get('id')];
  if (record.key === null) return null;
  const [key, value] = [textOf(record.key), textOf(record.body)];
  const expected = Number(headers.get('expected'));
  if (kind === 'put') return { command: { kind, key, value }, id };
  if (kind === 'delete') return { command: { kind, key }, id };
  if (kind === 'swap') return { command: { kind, key, value, expected }, id };
  return null;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}
