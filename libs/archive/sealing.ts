/**
 * Objects sealed with a key that the store does not have: AES-256-GCM in chunks, so that a part can be opened
 * without the rest (SPEC.md, Sealing). Bytes only; which objects are sealed, and in what store, is sealed-store.ts.
 *
 * Three replicas must make one object, so nothing is left to chance: the key of an object's data is made of the
 * master key and a keyed hash of the object's name and content. Equal content under one name gives equal bytes;
 * other content, or another name, gives a data key of its own, so no key ever meets a nonce twice.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MeridianError } from '../errors/errors.ts';

export interface SealingKey {
  /** 1 to 32 letters, digits, dots, dashes or underscores; stands in what it seals. */
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Buffer;
}

const MAGIC = Buffer.from('MERIDENC');
const VERSION = 1;
const CHUNK_BYTES = 64 * 1024;
const TAG_BYTES = 16;
const HASH_BYTES = 32;
const CHECK_BYTES = 8;
const ID_BYTES = 32;
/** Magic, version, chunk, bytes of content, id of the key, its check, the keyed hash. */
export const SEAL_HEADER_BYTES = 8 + 4 + 4 + 8 + ID_BYTES + CHECK_BYTES + HASH_BYTES;
/** After so much the rest of the process has its turn. */
const SLICE_BYTES = 1024 * 1024;
const SECRET_BYTES = 32;

interface Header {
  readonly bytes: Buffer;
  readonly contentBytes: number;
  readonly id: string;
  readonly check: Buffer;
  readonly hash: Buffer;
}

/** Bytes of a sealed object with so many bytes of content. */
export function sealedBytes(contentBytes: number): number {
  return SEAL_HEADER_BYTES + contentBytes + chunksOf(contentBytes) * TAG_BYTES;
}

export function isSealed(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && MAGIC.equals(bytes.subarray(0, MAGIC.length));
}

/** The same bytes each time. `name`: the object's key; it opens under no other. */
export async function seal(
  content: Uint8Array,
  name: string,
  { id, secret }: SealingKey,
): Promise<Buffer> {
  const header = Buffer.alloc(SEAL_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeUInt32LE(CHUNK_BYTES, 12);
  header.writeBigUInt64LE(BigInt(content.length), 16);
  header.write(id, 24, 'latin1');
  checkOf(secret).copy(header, 24 + ID_BYTES);
  const hash = await keyedHash(content, name, secret);
  hash.copy(header, 24 + ID_BYTES + CHECK_BYTES);
  const key = dataKey(secret, hash);
  const parts: Buffer[] = [header];
  for (let index = 0; index < chunksOf(content.length); index += 1) {
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(index));
    cipher.setAAD(Buffer.concat([header, Buffer.from(name)]));
    const chunk = content.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
    parts.push(cipher.update(chunk), cipher.final(), cipher.getAuthTag());
    if ((index * CHUNK_BYTES) % SLICE_BYTES === 0) await nextTurn();
  }
  return Buffer.concat(parts);
}

/** Throws REFUSED when the key is not among these, or is another of its name; CORRUPT; TOO_LARGE. */
export async function open(
  sealed: Uint8Array,
  name: string,
  keys: readonly SealingKey[],
  bytesMax: number,
): Promise<Buffer> {
  const opener = openerOf(sealed, name, keys);
  const { contentBytes } = opener;
  if (contentBytes > bytesMax) {
    throw new MeridianError('TOO_LARGE', `${name} has ${contentBytes} bytes sealed in it`, {
      details: { bytes: contentBytes, limit: bytesMax },
    });
  }
  if (sealed.length !== sealedBytes(contentBytes)) throw damaged(name, 'it was cut or added to');
  const parts: Buffer[] = [];
  for (let index = 0; index < chunksOf(contentBytes); index += 1) {
    const { from, to } = chunkRange(contentBytes, index);
    parts.push(opener.chunk(index, sealed.subarray(from, to)));
    if ((index * CHUNK_BYTES) % SLICE_BYTES === 0) await nextTurn();
  }
  return Buffer.concat(parts);
}

/** Where a chunk of content lies in a sealed object of so many bytes of content. */
export function chunkRange(contentBytes: number, index: number): { from: number; to: number } {
  const from = SEAL_HEADER_BYTES + index * (CHUNK_BYTES + TAG_BYTES);
  return { from, to: Math.min(from + CHUNK_BYTES + TAG_BYTES, sealedBytes(contentBytes)) };
}

export interface Opener {
  readonly contentBytes: number;
  /** Content of one chunk, of the bytes at its range alone. Throws CORRUPT. */
  chunk(index: number, bytes: Uint8Array): Buffer;
}

/** From the header alone. Throws as `open` does. */
export function openerOf(beginning: Uint8Array, name: string, keys: readonly SealingKey[]): Opener {
  const header = headerOf(beginning, name);
  const key = keys.find(({ id }) => id === header.id);
  if (key === undefined) {
    const given = keys.length === 0 ? 'none is given' : keys.map(({ id }) => id).join(', ');
    const message = `${name} is sealed with the key ${header.id}; given: ${given}`;
    throw new MeridianError('REFUSED', message, { details: { key: name, sealedWith: header.id } });
  }
  if (!checkOf(key.secret).equals(header.check)) {
    const message = `${name} is sealed with another key ${header.id} than the one given`;
    throw new MeridianError('REFUSED', message, { details: { key: name, sealedWith: header.id } });
  }
  const secret = dataKey(key.secret, header.hash);
  const context = Buffer.concat([header.bytes, Buffer.from(name)]);
  return {
    contentBytes: header.contentBytes,
    chunk: (index, bytes) => {
      if (bytes.length < TAG_BYTES) throw damaged(name, 'a chunk is too short');
      const decipher = createDecipheriv('aes-256-gcm', secret, nonceOf(index));
      decipher.setAAD(context);
      decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
      const content = decipher.update(bytes.subarray(0, bytes.length - TAG_BYTES));
      try {
        decipher.final();
      } catch {
        throw damaged(name, `chunk ${index} is not what was sealed, or not under this name`);
      }
      return content;
    },
  };
}

/** Lines of `ID SECRET`, 32 bytes in base64url; the first seals. Throws REFUSED, without any secret. */
export function parseSealingKeys(text: string, file: string): SealingKey[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const keys = lines.map((line) => {
    const [id = '', encoded = '', ...rest] = line.trim().split(/\s+/);
    const secret = Buffer.from(encoded, 'base64url');
    const isGood = /^[\w.-]{1,32}$/.test(id) && secret.length === SECRET_BYTES && rest.length === 0;
    return isGood ? { id, secret } : null;
  });
  const good = keys.filter((key) => key !== null);
  const ids = new Set(good.map(({ id }) => id));
  if (good.length === 0 || ids.size !== lines.length) {
    throw new MeridianError(
      'REFUSED',
      `${file}: expected on each line the id of a key, another one each, and ${SECRET_BYTES} bytes in base64url`,
    );
  }
  return good;
}

function headerOf(beginning: Uint8Array, name: string): Header {
  const bytes = Buffer.from(beginning.subarray(0, SEAL_HEADER_BYTES));
  if (bytes.length < SEAL_HEADER_BYTES || !isSealed(bytes)) throw damaged(name, 'it is not sealed');
  const version = bytes.readUInt32LE(8);
  if (version !== VERSION) {
    const message = `${name} is sealed in version ${version}, this program knows ${VERSION}`;
    throw new MeridianError('REFUSED', message, { details: { key: name } });
  }
  const contentBytes = bytes.readBigUInt64LE(16);
  const isSane = contentBytes <= BigInt(Number.MAX_SAFE_INTEGER);
  if (bytes.readUInt32LE(12) !== CHUNK_BYTES || !isSane) throw damaged(name, 'its header is wrong');
  const at = 24 + ID_BYTES;
  return {
    bytes,
    contentBytes: Number(contentBytes),
    id: bytes.toString('latin1', 24, at).replace(/\0+$/, ''),
    check: bytes.subarray(at, at + CHECK_BYTES),
    hash: bytes.subarray(at + CHECK_BYTES),
  };
}

function chunksOf(contentBytes: number): number {
  return Math.ceil(contentBytes / CHUNK_BYTES);
}

async function keyedHash(content: Uint8Array, name: string, secret: Buffer): Promise<Buffer> {
  const hash = createHmac('sha256', derived(secret, Buffer.alloc(0), 'meridian archive hash'));
  hash.update(`${Buffer.byteLength(name)} ${name} `);
  for (let from = 0; from < content.length; from += SLICE_BYTES) {
    hash.update(content.subarray(from, from + SLICE_BYTES));
    await nextTurn();
  }
  return hash.digest();
}

/** Tells a wrong key from damaged bytes, and nothing about the key. */
function checkOf(secret: Buffer): Buffer {
  return derived(secret, Buffer.alloc(0), 'meridian archive check').subarray(0, CHECK_BYTES);
}

function dataKey(secret: Buffer, hash: Buffer): Buffer {
  return derived(secret, hash, 'meridian archive data');
}

function derived(secret: Buffer, salt: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, purpose, SECRET_BYTES));
}

/** Chunks are counted; a data key seals one object, so the count is enough. */
function nonceOf(index: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 8);
  return nonce;
}

function damaged(name: string, how: string): MeridianError {
  return new MeridianError('CORRUPT', `${name}: ${how}`, { details: { key: name } });
}
