/**
 * A bucket as a store of objects, through the AWS SDK: creation is a put with `If-None-Match: *`. Owns
 * timeouts, a bounded number of tries, and the translation of errors; who waits how long for a store
 * that stays away is the caller's business. Credentials come from where the SDK looks for them, and are
 * renewed by it; none is ever in a message.
 */
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { ListObjectsV2Command, S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { MeridianError } from '../errors/errors.ts';
import { tooLarge } from './directory-store.ts';
import { checkKey, isKey } from './keys.ts';
import type { ListingStore, StoredObject } from './object-store.ts';

export interface S3StoreOptions {
  readonly bucket: string;
  /** In front of every key; empty, or ends with a slash. */
  readonly prefix: string;
  readonly region: string;
  /** Another server than AWS. */
  readonly endpoint?: string | undefined;
  /** The bucket in the path instead of the host name. */
  readonly pathStyle?: boolean | undefined;
  /** Of one call, all its tries together. */
  readonly timeoutMs: number;
  readonly tries?: number;
}

const TRIES = 3;
/** Another put of the same key was under way: it is decided in a moment. */
const CONFLICT_PAUSE_MS = 100;
const NOT_THERE = new Set(['NoSuchKey', 'NotFound']);
const DENIED = new Set([
  'AccessDenied',
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidToken',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
]);

export class S3Store implements ListingStore {
  readonly url: string;
  readonly #options: S3StoreOptions;
  readonly #client: S3Client;

  constructor(options: S3StoreOptions) {
    const { bucket, prefix, region, endpoint, pathStyle, timeoutMs, tries } = options;
    this.#options = options;
    this.url = `s3://${bucket}/${prefix}`.replace(/\/$/, '');
    this.#client = new S3Client({
      region,
      maxAttempts: tries ?? TRIES,
      // Every object's own SHA-256 is sent where it counts; the SDK need not add sums of its own.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: Math.min(5000, timeoutMs),
        requestTimeout: timeoutMs,
        throwOnRequestTimeout: true,
      },
      ...(endpoint === undefined ? {} : { endpoint }),
      forcePathStyle: pathStyle === true,
    });
  }

  async create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#attempt('create', key, async (place, signal) => {
      for (;;) {
        try {
          const command = new PutObjectCommand({
            ...place,
            Body: bytes,
            IfNoneMatch: '*',
            ChecksumSHA256: createHash('sha256').update(bytes).digest('base64'),
          });
          await this.#client.send(command, { abortSignal: signal });
          return 'created';
        } catch (error) {
          const status = statusOf(error);
          if (status === 412) return 'exists';
          if (status !== 409 || signal.aborted) throw error;
          await new Promise((resolve) => setTimeout(resolve, CONFLICT_PAUSE_MS));
        }
      }
    });
  }

  async replace(key: string, bytes: Uint8Array): Promise<void> {
    await this.#attempt('replace', key, (place, signal) =>
      this.#client.send(new PutObjectCommand({ ...place, Body: bytes }), { abortSignal: signal }),
    );
  }

  async read(key: string, bytesMax: number): Promise<Uint8Array | null> {
    return this.#attempt('read', key, async (place, signal) => {
      try {
        const answer = await this.#client.send(new GetObjectCommand(place), {
          abortSignal: signal,
        });
        const { Body: body, ContentLength: said = 0 } = answer;
        // Nothing empty is ever written: whoever answers so, the object has not spoken.
        if (body === undefined || said === 0) throw new Error('the answer is empty');
        return await collect(body as AsyncIterable<Uint8Array>, said, bytesMax, () =>
          tooLarge(`${this.url}/${key}`, said, bytesMax),
        );
      } catch (error) {
        if (NOT_THERE.has((error as Error).name)) return null;
        throw error;
      }
    });
  }

  async remove(key: string): Promise<void> {
    await this.#attempt('remove', key, (place, signal) =>
      this.#client.send(new DeleteObjectCommand(place), { abortSignal: signal }),
    );
  }

  async *list(folder: string): AsyncIterable<StoredObject> {
    const { prefix } = this.#options;
    let from: string | undefined;
    do {
      const listed = await this.#listed(folder, from);
      for (const { Key = '', LastModified: modified } of listed.Contents ?? []) {
        const key = Key.slice(prefix.length);
        if (isKey(key) && modified !== undefined) yield { key, modifiedAt: modified.getTime() };
      }
      from = listed.IsTruncated === true ? listed.NextContinuationToken : undefined;
    } while (from !== undefined);
  }

  async #listed(folder: string, from: string | undefined): Promise<ListObjectsV2CommandOutput> {
    const { bucket, prefix, timeoutMs } = this.#options;
    const command = new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: `${prefix}${folder}/`,
      ContinuationToken: from,
    });
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await this.#client.send(command, { abortSignal: signal });
    } catch (error) {
      throw this.#translated('list', folder, error, signal);
    }
  }

  close(): void {
    this.#client.destroy();
  }

  async #attempt<T>(
    what: string,
    key: string,
    action: (place: { Bucket: string; Key: string }, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    checkKey(key);
    const { bucket, prefix, timeoutMs } = this.#options;
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await action({ Bucket: bucket, Key: `${prefix}${key}` }, signal);
    } catch (error) {
      throw error instanceof MeridianError ? error : this.#translated(what, key, error, signal);
    }
  }

  /** The one place where errors of S3 become ours. */
  #translated(what: string, key: string, error: unknown, signal: AbortSignal): MeridianError {
    const { name, message } = error as Error;
    const where = `cannot ${what} ${this.url}/${key}`;
    if (signal.aborted) {
      const { timeoutMs } = this.#options;
      return new MeridianError('UNAVAILABLE', `${where}: no answer within ${timeoutMs} ms`, {
        details: { key },
      });
    }
    const status = statusOf(error);
    const denied = DENIED.has(name) || status === 401 || status === 403;
    // S3 says the same of what is not there to whoever may not list: a common gap in a policy.
    const asks = what === 'read' || what === 'list';
    const hint = denied && status === 403 && asks ? ' (is s3:ListBucket granted?)' : '';
    const reason = denied
      ? 'PERMISSION_DENIED'
      : name === 'NoSuchBucket'
        ? 'REFUSED'
        : 'UNAVAILABLE';
    return new MeridianError(reason, `${where}: ${name}: ${message}${hint}`, {
      details: { key, error: name, ...(status === null ? {} : { status }) },
      cause: error,
    });
  }
}

/** A body that ends before what was said is no body: the connection was cut. */
async function collect(
  body: AsyncIterable<Uint8Array>,
  said: number,
  bytesMax: number,
  error: () => MeridianError,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  if (said <= bytesMax) {
    for await (const part of body) {
      bytes += part.length;
      if (bytes > bytesMax) break;
      parts.push(part);
    }
  }
  // Leaving the loop, or never entering it, ends the connection.
  if (said > bytesMax || bytes > bytesMax) {
    (body as { destroy?: () => void }).destroy?.();
    throw error();
  }
  if (bytes === said) return Buffer.concat(parts);
  throw new Error(`the body ended after ${bytes} of ${said} bytes`);
}

function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null;
}
