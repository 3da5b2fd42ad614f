/** Certificates in a temporary directory, for tests: one authority, and leaves as a test wants them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeAuthority, makeLeaf } from './authority.ts';
import type { CertificateAndKey, LeafOptions } from './authority.ts';
import { uriOf } from './identity.ts';
import type { Role } from './identity.ts';

export const DAY_MS = 86_400_000;

export interface Files {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export class TestCertificates {
  readonly directory = mkdtempSync(join(tmpdir(), 'meridian-test-tls-'));
  readonly authority = makeAuthority('Test authority', new Date(Date.now() + DAY_MS));
  readonly ca = join(this.directory, 'ca.pem');

  constructor() {
    writeFileSync(this.ca, this.authority.certificate);
  }

  /** A proper one, of cluster `c` unless said otherwise; `file` is its name without ending. */
  of(
    role: Role,
    names: readonly string[],
    more: Partial<LeafOptions> & { cluster?: string; file?: string } = {},
  ): Files {
    const { cluster = 'c', file = [role, ...names].join('-'), ...leaf } = more;
    const uris = leaf.uris ?? [uriOf('test', cluster, role, names)];
    return this.write(file, this.make({ ...leaf, uris }));
  }

  make(
    leaf: Partial<LeafOptions>,
    authority: CertificateAndKey = this.authority,
  ): CertificateAndKey {
    const validTo = new Date(Date.now() + DAY_MS);
    return makeLeaf(authority, 'test', { uris: [], hosts: ['127.0.0.1'], validTo, ...leaf });
  }

  /** Again under the same name: a renewal. */
  write(name: string, { certificate, key }: CertificateAndKey): Files {
    const files = {
      ca: this.ca,
      certificate: join(this.directory, `${name}.pem`),
      key: join(this.directory, `${name}.key`),
    };
    writeFileSync(files.certificate, certificate);
    writeFileSync(files.key, key, { mode: 0o600 });
    return files;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
