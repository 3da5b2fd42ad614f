/**
 * Writes the few kinds of DER values that a certificate is made of (X.690). Only writes: what others
 * have made is read by OpenSSL.
 */

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
};

export function sequence(...parts: readonly Buffer[]): Buffer {
  return value(TAG.sequence, Buffer.concat(parts));
}

export function set(...parts: readonly Buffer[]): Buffer {
  return value(TAG.set, Buffer.concat(parts));
}

/** Of big-endian bytes, taken as positive. */
export function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const short = first < 0 ? Buffer.from([0]) : Buffer.from(bytes.subarray(first));
  const signed = (short[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), short]) : short;
  return value(TAG.integer, signed);
}

export function yes(): Buffer {
  return value(TAG.boolean, Buffer.from([0xff]));
}

export function octets(bytes: Uint8Array): Buffer {
  return value(TAG.octetString, bytes);
}

/** `unused`: bits of the last byte that do not count. */
export function bits(bytes: Uint8Array, unused = 0): Buffer {
  return value(TAG.bitString, Buffer.concat([Buffer.from([unused]), bytes]));
}

export function text(words: string): Buffer {
  return value(TAG.utf8String, Buffer.from(words, 'utf8'));
}

/** To the second, UTC; RFC 5280 wants two digits for years before 2050. */
export function time(at: Date): Buffer {
  const digits = at
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/[-:T]/g, '');
  const isNear = at.getUTCFullYear() < 2050;
  const shown = isNear ? digits.slice(2) : digits;
  return value(isNear ? TAG.utcTime : TAG.generalizedTime, Buffer.from(`${shown}Z`, 'latin1'));
}

/** `1.2.840.10045.4.3.2` */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      groups.unshift((left & 0x7f) | 0x80);
    }
    return groups;
  });
  return value(TAG.oid, Buffer.from(bytes));
}

/** A context-specific tag: `constructed` around whole values, otherwise in place of the value's own. */
export function tagged(number: number, content: Uint8Array, constructed: boolean): Buffer {
  return value(0x80 | (constructed ? 0x20 : 0) | number, content);
}

function value(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content]);
}

function lengthOf(bytes: number): Buffer {
  if (bytes < 0x80) return Buffer.from([bytes]);
  const big: number[] = [];
  for (let left = bytes; left > 0; left = Math.floor(left / 256)) big.unshift(left & 0xff);
  return Buffer.from([0x80 | big.length, ...big]);
}
