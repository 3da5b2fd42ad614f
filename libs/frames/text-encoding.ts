/**
 * Bytes of records as text and back, in one of three encodings. Strict both ways: what is not base64 or
 * hex is refused, and text that is not UTF-8 is never passed off as such.
 */
import { isUtf8 } from 'node:buffer';

export type Encoding = 'utf8' | 'base64' | 'hex';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** null: the text is not of this encoding. */
export function decodeText(text: string, encoding: Encoding): Uint8Array | null {
  switch (encoding) {
    case 'utf8':
      return Buffer.from(text, 'utf8');
    case 'base64':
      return BASE64.test(text) ? Buffer.from(text, 'base64') : null;
    case 'hex':
      return /^(?:[0-9a-fA-F]{2})*$/.test(text) ? Buffer.from(text, 'hex') : null;
  }
}

export function encodeText(bytes: Uint8Array, encoding: Encoding): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(encoding);
}

/** The encoding in which all of these can be written: the wanted one, or base64 instead of utf8. */
export function encodingFor(wanted: Encoding, parts: readonly Uint8Array[]): Encoding {
  return wanted === 'utf8' && !parts.every((part) => isUtf8(part)) ? 'base64' : wanted;
}

export function encodingNamed(name: string | undefined): Encoding {
  return name === 'base64' || name === 'hex' ? name : 'utf8';
}
