/**
 * A snapshot in one file, replaced as a whole: written beside the old one, synced, renamed over it. So
 * after a crash there is the old one or the new one, and the position in it belongs to the data in it.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { MeridianError } from '../errors/errors.ts';

const MAGIC = 'MERIDIAN-SNAPSHOT-1';

export async function writeSnapshot(file: string, text: string): Promise<void> {
  const body = Buffer.from(text);
  const header = Buffer.from(`${MAGIC} ${crc32(body)} ${body.length}\n`);
  const beside = `${file}.new`;
  const handle = await open(beside, 'w', 0o600);
  try {
    await handle.writeFile(Buffer.concat([header, body]));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(beside, file);
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** null: there is none. CORRUPT for one that is not what was written. */
export async function readSnapshot(file: string): Promise<string | null> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  const end = bytes.indexOf('\n');
  const [magic, checksum, length] = bytes.subarray(0, Math.max(0, end)).toString().split(' ');
  const body = bytes.subarray(end + 1);
  if (magic === MAGIC && Number(length) === body.length && Number(checksum) === crc32(body)) {
    return body.toString();
  }
  throw new MeridianError('CORRUPT', `${file} is not the snapshot that was written`, {
    details: { file },
  });
}
