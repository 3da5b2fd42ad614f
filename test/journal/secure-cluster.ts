/** A cluster that speaks TLS alone, with certificates of its own authority, and its log lines kept. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeridianError } from '../../libs/errors/errors.ts';
import { Credentials } from '../../libs/security/credentials.ts';
import type { Expected } from '../../libs/security/identity.ts';
import { TestCertificates } from '../../libs/security/testing-certificates.ts';
import type { Files } from '../../libs/security/testing-certificates.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { Cluster, TARGET } from './cluster.ts';

const { cluster, instance } = TARGET;

export class SecureCluster extends Cluster {
  readonly certificates = new TestCertificates();
  readonly secret = randomBytes(32);
  readonly secretFile = join(this.directory, 'tokens.secret');
  readonly logLines: string[] = [];
  /** Of every replica; may be added to before the start. */
  readonly grants = [
    { principal: 'client/web', operations: ['append', 'read', 'tail'], streams: ['web.*'] },
  ];
  readonly #opened: Channel[] = [];
  /** One each: a connection for each question would use up what one address may have. */
  readonly #administrators = new Map<number, Channel>();

  protected override beforeStart(): Promise<void> {
    writeFileSync(this.secretFile, this.secret.toString('base64url'), { mode: 0o600 });
    for (const replica of [0, 1, 2]) this.of('replica', [instance, `r${replica}`]);
    return Promise.resolve();
  }

  /** A certificate in this cluster. */
  of(...[role, names]: Parameters<TestCertificates['of']>): Files {
    return this.certificates.of(role, names, { cluster });
  }

  override configOf(replica: number): Record<string, unknown> {
    const file = (end: string): string =>
      join(this.certificates.directory, `replica-${instance}-r${replica}.${end}`);
    return {
      ...super.configOf(replica),
      tls: { ca: this.certificates.ca, certificate: file('pem'), key: file('key') },
      access: { grants: this.grants, tokenSecretFile: this.secretFile },
    };
  }

  override async startReplica(replica: number): Promise<void> {
    await super.startReplica(replica);
    this.child(replica).onLine((line) => this.logLines.push(line));
  }

  /** A connection of its own to a replica's port for clients, or to another address. */
  dial(replica: number, files: Partial<Files> & { ca: string }, address?: string): Channel {
    const expected: Expected = { cluster, role: 'replica', names: [instance, `r${replica}`] };
    const credentials = new Credentials(files);
    const to = address ?? `127.0.0.1:${this.clientPorts[replica]}`;
    const channel = connect(to, {}, { credentials, expected });
    this.#opened.push(channel);
    return channel;
  }

  override channel(replica: number): Channel {
    const standing = this.#administrators.get(replica);
    if (standing !== undefined) return standing;
    const made = this.dial(replica, this.of('admin', ['test']));
    this.#administrators.set(replica, made);
    return made;
  }

  override async stop(): Promise<void> {
    for (const channel of this.#opened) channel.close();
    await super.stop();
    this.certificates.remove();
  }
}

/** `done`, or why not. */
export async function reasonOf(done: Promise<unknown>): Promise<string> {
  try {
    await done;
    return 'done';
  } catch (error) {
    if (error instanceof MeridianError) return error.reason;
    throw error;
  }
}
