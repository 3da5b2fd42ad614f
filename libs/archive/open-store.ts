/** From a URL to the store behind it: `file:///directory` or `s3://bucket/prefix`. */
import { fileURLToPath } from 'node:url';
import { MeridianError } from '../errors/errors.ts';
import { readSecretFile } from '../files/given-files.ts';
import { DirectoryStore } from './directory-store.ts';
import type { ListingStore } from './object-store.ts';
import { SealedStore } from './sealed-store.ts';
import { parseSealingKeys } from './sealing.ts';
import type { SealingKey } from './sealing.ts';

export interface StoreSettings {
  readonly url: string;
  /** Of a bucket; without it the SDK's own (AWS_REGION). */
  readonly region?: string | undefined;
  /** Server of a bucket that is not at AWS. */
  readonly endpoint?: string | undefined;
  readonly pathStyle?: boolean | undefined;
  /** File of the keys that objects are sealed with, mode 0600. */
  readonly keysFile?: string | undefined;
  readonly timeoutMs: number;
}

/** What is wrong with the URL, or null. */
export function urlProblem(url: string): string | null {
  if (!URL.canParse(url)) return 'expected file:///directory or s3://bucket/prefix';
  const { protocol, hostname, search, hash, username } = new URL(url);
  if (search !== '' || hash !== '' || username !== '') return 'expected a place, and nothing else';
  if (protocol === 'file:') return hostname === '' ? null : 'expected three slashes after file:';
  if (protocol !== 's3:') return 'expected file:///directory or s3://bucket/prefix';
  return hostname === '' ? 'expected a bucket after s3://' : null;
}

/** Throws INVALID; REFUSED for a file of keys that cannot be used. The AWS SDK is loaded only when a bucket is meant. */
export async function openStore(settings: StoreSettings): Promise<ListingStore> {
  const problem = urlProblem(settings.url);
  if (problem !== null) throw new MeridianError('INVALID', `${settings.url}: ${problem}`);
  const { keysFile } = settings;
  const store = await storeBehind(settings);
  return new SealedStore(store, keysFile === undefined ? [] : keysIn(keysFile));
}

function keysIn(file: string): SealingKey[] {
  return parseSealingKeys(readSecretFile(file, 'the keys').toString(), file);
}

async function storeBehind(settings: StoreSettings): Promise<ListingStore> {
  const { protocol, hostname, pathname } = new URL(settings.url);
  if (protocol === 'file:') return new DirectoryStore(fileURLToPath(settings.url));
  const { S3Store } = await import('./s3-store.ts');
  const path = pathname.replace(/^\/+|\/+$/g, '');
  const { endpoint, pathStyle, timeoutMs } = settings;
  const region = settings.region ?? process.env['AWS_REGION'] ?? 'us-east-1';
  const prefix = path === '' ? '' : `${path}/`;
  return new S3Store({ bucket: hostname, prefix, region, endpoint, pathStyle, timeoutMs });
}
