/** `meridian token`: secrets, tokens, and tokens made of tokens. */
import { randomBytes } from 'node:crypto';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { at } from '../../../libs/values/assert.ts';
import { readSecretFile } from '../../../libs/files/given-files.ts';
import type { Operation } from '../../../libs/security/grants.ts';
import { readSecrets } from '../../../libs/security/security.ts';
import {
  SECRET_BYTES,
  createToken,
  describeToken,
  narrowToken,
} from '../../../libs/security/tokens.ts';
import type { Scope } from '../../../libs/security/tokens.ts';
import { columns } from '../columns.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';

export function secret(call: Invocation): Promise<number> {
  const file = call.values.text('file') ?? '';
  const before = existsSync(file) ? readSecrets(file) : [];
  const lines = [randomBytes(SECRET_BYTES), ...before].map((one) => one.toString('base64url'));
  writeFileSync(`${file}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  call.output.document({ file }, () => `${file}: ${lines.length} in all, the first signs`);
  return Promise.resolve(EXIT.ok);
}

export function create(call: Invocation): Promise<number> {
  const { operations = [], streams = [], expiresAt = 0 } = scopeOf(call);
  const secrets = readSecrets(call.values.text('secret-file') ?? '');
  const cluster = call.values.text('cluster') ?? '';
  const name = call.values.text('name') ?? '';
  tell(call, createToken(at(secrets, 0), { cluster, name, operations, streams, expiresAt }));
  return Promise.resolve(EXIT.ok);
}

export function narrow(call: Invocation): Promise<number> {
  tell(call, narrowToken(tokenOf(call), scopeOf(call)));
  return Promise.resolve(EXIT.ok);
}

export function show(call: Invocation): Promise<number> {
  const facts = factsOf(tokenOf(call));
  call.output.document(facts, () => {
    const { scopes, ...plain } = facts;
    const links = scopes.map(
      ({ operations, streams, expiresAt }) =>
        `${operations?.join(', ') ?? 'the same'} on ${streams?.join(', ') ?? 'the same'}` +
        (expiresAt === undefined ? '' : `, until ${expiresAt}`),
    );
    return columns([...Object.entries(plain), ...links.map((text) => ['allows', text])]);
  });
  return Promise.resolve(EXIT.ok);
}

function tokenOf(call: Invocation): string {
  return readSecretFile(call.values.text('token-file') ?? '', 'the token')
    .toString()
    .trim();
}

function scopeOf(call: Invocation): Scope {
  const { values } = call;
  const validForMs = values.number('valid-for');
  return {
    ...(values.has('operation') ? { operations: values.texts('operation') as Operation[] } : {}),
    ...(values.has('stream') ? { streams: values.texts('stream') } : {}),
    ...(validForMs === undefined ? {} : { expiresAt: Date.now() + validForMs }),
  };
}

/** The bare token for people, too, so that it can be put into a file. */
function tell(call: Invocation, token: string): void {
  call.output.document({ token, ...factsOf(token) }, () => token);
}

function factsOf(text: string) {
  const { id, cluster, principal, expiresAt, scopes } = describeToken(text);
  return {
    id,
    cluster,
    principal,
    expiresAt: new Date(expiresAt).toISOString(),
    scopes: scopes.map(({ operations, streams, expiresAt: end }) => ({
      operations,
      streams,
      expiresAt: end === undefined ? undefined : new Date(end).toISOString(),
    })),
  };
}
