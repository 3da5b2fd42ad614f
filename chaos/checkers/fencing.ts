/**
 * Fencing and leases, decided in the order itself. A token is granted once and tokens rise in real time;
 * an append with a token stands before every append with a higher one, and has begun before a higher one
 * was granted to anybody; a refusal names a token that was the current one then. A lease ends on the
 * journal's clock, so one holder's may only follow another's expiry or release.
 */
import type { History } from '../model/history.ts';
import type { Operation } from '../model/operation.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { endOf, FinalLog, isAppend, streamKey } from './final-log.ts';
import type { Append } from './final-log.ts';

/** Something that certainly or possibly took place while `token` was the current one. */
interface Use {
  readonly operation: Operation;
  readonly token: number;
  readonly role: 'granted' | 'used' | 'refused';
}

export function checkFencing(history: History): Verdict {
  const findings = new Findings('fencing and leases', 'I11');
  const log = new FinalLog(history);
  const streams = new Map<string, Use[]>();
  for (const operation of history.operations) {
    const { action } = operation;
    if (!('stream' in action)) continue;
    const use = isAppend(operation) ? appendUse(operation, log) : actionUse(operation, findings);
    if (use === null) continue;
    findings.checked += 1;
    const key = streamKey(action.instance, action.stream);
    const uses = streams.get(key);
    if (uses === undefined) streams.set(key, [use]);
    else uses.push(use);
  }
  for (const [name, uses] of streams) {
    checkGrants(name, uses, findings);
    sweep(name, uses, findings);
    checkPlaces(name, uses, log, findings);
    checkLeases(name, uses, history.operations, findings);
  }
  return findings.verdict();
}

function appendUse(append: Append, log: FinalLog): Use | null {
  const { action, outcome } = append;
  const token = action.fencingToken;
  if (token === undefined) return null;
  if (outcome.kind === 'failed') {
    const actual = Number(outcome.details?.['actual']);
    if (outcome.reason !== 'FENCED' || !Number.isSafeInteger(actual)) return null;
    return { operation: append, token: actual, role: 'refused' };
  }
  if (outcome.kind === 'unknown' && log.standingOf(append) === null) return null;
  return { operation: append, token, role: 'used' };
}

function actionUse(operation: Operation, findings: Findings): Use | null {
  const { action, outcome, id } = operation;
  if (outcome.kind !== 'ok' || outcome.answer.token === undefined) return null;
  const { token } = outcome.answer;
  if (action.kind === 'fence' || action.kind === 'acquire') {
    return { operation, token, role: 'granted' };
  }
  if (action.kind !== 'renew') return null;
  if (action.token !== token) {
    findings.object(`renewed token ${action.token} and was told ${token}`, [id]);
  }
  return { operation, token, role: 'used' };
}

/** A token belongs to one grant; a refusal names another token than the one that was given. */
function checkGrants(name: string, uses: readonly Use[], findings: Findings): void {
  const granted = new Map<number, Operation>();
  for (const { operation, token, role } of uses) {
    if (role === 'granted') {
      const other = granted.get(token);
      if (other !== undefined) {
        findings.object(`stream ${name}: token ${token} was granted twice`, [
          other.id,
          operation.id,
        ]);
      }
      granted.set(token, operation);
    } else if (
      role === 'refused' &&
      isAppend(operation) &&
      operation.action.fencingToken === token
    ) {
      const what = `stream ${name}: was refused although its token ${token} is the current one`;
      findings.object(what, [operation.id]);
    }
  }
}

/** In the order of the tokens: a grant comes first among its uses, and nothing lower begins after it. */
function sweep(name: string, uses: Use[], findings: Findings): void {
  const rank = ({ token, role }: Use): number => 2 * token + (role === 'granted' ? 0 : 1);
  const sorted = [...uses].sort((a, b) => rank(a) - rank(b));
  let latest: Use | null = null;
  let group: Use[] = [];
  for (const [i, use] of sorted.entries()) {
    const next = sorted[i + 1];
    if (latest !== null && latest.operation.invokedUs > endOf(use.operation)) {
      const before = `${latest.operation.action.kind} under token ${latest.token}`;
      const what = `stream ${name}: token ${use.token} was the current one before ${before} began`;
      findings.object(what, [latest.operation.id, use.operation.id]);
    }
    group.push(use);
    if (next !== undefined && rank(next) === rank(use)) continue;
    for (const it of group) {
      if (latest === null || it.operation.invokedUs > latest.operation.invokedUs) latest = it;
    }
    group = [];
  }
}

function checkPlaces(name: string, uses: readonly Use[], log: FinalLog, findings: Findings): void {
  const appends = uses
    .filter((use): use is Use & { operation: Append } => isAppend(use.operation))
    .filter(({ role }) => role === 'used')
    .map((use) => ({ ...use, at: log.seqNumOf(use.operation) ?? -1 }))
    .sort((a, b) => a.at - b.at);
  for (const [i, { token, operation }] of appends.entries()) {
    const before = appends[i - 1];
    if (before === undefined || before.token <= token) continue;
    const what = `stream ${name}: an append with token ${token} stands behind one with ${before.token}`;
    findings.object(what, [before.operation.id, operation.id]);
  }
}

/** Log time: the next holder's grant lies at or behind the end of the one before, or it was released. */
function checkLeases(
  name: string,
  uses: readonly Use[],
  operations: readonly Operation[],
  findings: Findings,
): void {
  const released = new Set<number>();
  for (const { action } of operations) {
    if (action.kind === 'release' && action.token !== undefined) {
      if (streamKey(action.instance, action.stream) === name) released.add(action.token);
    }
  }
  const leases = new Map<number, { grant: Operation; holder: string; expiresAt: number }>();
  for (const { operation, token } of uses) {
    const { action, outcome } = operation;
    if (action.kind !== 'acquire' && action.kind !== 'renew') continue;
    const expiresAt = outcome.kind === 'ok' ? (outcome.answer.expiresAt ?? 0) : 0;
    const lease = leases.get(token) ?? { grant: operation, holder: action.holder, expiresAt };
    leases.set(token, { ...lease, expiresAt: Math.max(lease.expiresAt, expiresAt) });
  }
  const fenced = uses.filter(({ operation }) => operation.action.kind === 'fence');
  const sorted = [...leases].sort(([a], [b]) => a - b);
  for (const [i, [token, lease]] of sorted.entries()) {
    const before = sorted[i - 1];
    const { action, outcome } = lease.grant;
    if (before === undefined || before[1].holder === lease.holder || released.has(before[0]))
      continue;
    // A fence in between ends the lease before it.
    if (fenced.some((it) => it.token > before[0] && it.token < token)) continue;
    if (action.kind !== 'acquire' || outcome.kind !== 'ok') continue;
    const grantedAt = (outcome.answer.expiresAt ?? 0) - (action.ttlMs ?? 0) * 1000;
    if (grantedAt >= before[1].expiresAt) continue;
    const early = before[1].expiresAt - grantedAt;
    const what = `stream ${name}: ${lease.holder} got the lease ${early} µs before ${before[1].holder}'s ended`;
    findings.object(what, [before[1].grant.id, lease.grant.id]);
  }
}
