/**
 * Money in Postgres. Every read, in whatever region, shows the state after some set of whole transfers: the
 * same money as in the beginning, each account what the transfers in the set make of it. The set
 * contains everything that was committed before the read began and nothing that certainly failed, and
 * what one read has seen every later one sees too.
 */
import type { History } from '../model/history.ts';
import type { Action, Operation } from '../model/operation.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { endOf } from './final-log.ts';

type Transfer = Operation & { readonly action: Extract<Action, { readonly kind: 'transfer' }> };
type Seen = Readonly<Record<string, readonly [count: number, highest: number]>>;

interface Reading {
  readonly operation: Operation;
  readonly balances: Readonly<Record<string, number>>;
  readonly seen: Seen;
}

export interface BankRules {
  readonly accounts: readonly string[];
  /** What each account begins with. */
  readonly opening: number;
}

export function checkBank(history: History, rules: BankRules): Verdict {
  const findings = new Findings('money in every region', 'I13 I14');
  const clients = new Map<string, Transfer[]>();
  const readings: Reading[] = [];
  for (const operation of history.operations) {
    if (isTransfer(operation)) {
      const list = clients.get(operation.client);
      if (list === undefined) clients.set(operation.client, [operation]);
      else list.push(operation);
      findings.checked += 1;
    } else if (operation.action.kind === 'balances' && operation.outcome.kind === 'ok') {
      const { balances = {}, seen = {} } = operation.outcome.answer;
      readings.push({ operation, balances, seen });
      findings.checked += 1;
    }
  }
  const sums = new Map([...clients].map(([client, list]) => [client, prefixSums(list)]));
  for (const reading of readings) {
    checkState(reading, rules, sums, findings);
    checkSeen(reading, clients, findings);
  }
  checkMonotone(readings, findings);
  return findings.verdict();
}

/** Per client: after each number, what its transfers up to there add to each account; null: a hole. */
type Sums = (ReadonlyMap<string, number> | null)[];

/** Transfers that certainly failed leave their number out. */
function prefixSums(transfers: readonly Transfer[]): Sums {
  const sums: Sums = [new Map()];
  let current = new Map<string, number>();
  for (const { action, outcome } of transfers) {
    if (outcome.kind === 'failed') continue;
    current = new Map(current);
    current.set(action.from, (current.get(action.from) ?? 0) - action.amount);
    current.set(action.to, (current.get(action.to) ?? 0) + action.amount);
    sums[action.number] = current;
  }
  return sums;
}

function checkState(
  { operation, balances, seen }: Reading,
  { accounts, opening }: BankRules,
  sums: ReadonlyMap<string, Sums>,
  findings: Findings,
): void {
  const total = Object.values(balances).reduce((sum, amount) => sum + amount, 0);
  const expectedTotal = accounts.length * opening;
  if (total !== expectedTotal) {
    findings.object(`a read in ${operation.region} shows ${total} in all, not ${expectedTotal}`, [
      operation.id,
    ]);
  }
  const expected = new Map(accounts.map((account) => [account, opening]));
  for (const [client, [, highest]] of Object.entries(seen)) {
    for (const [account, amount] of sums.get(client)?.[highest] ?? []) {
      expected.set(account, (expected.get(account) ?? 0) + amount);
    }
  }
  for (const [account, amount] of expected) {
    if (balances[account] === amount) continue;
    const shown = balances[account] ?? 'no';
    const what = `a read in ${operation.region} shows ${shown} in ${account}; its transfers make it ${amount}`;
    findings.object(what, [operation.id]);
  }
}

/** Whole prefixes of each client's transfers, with all that were over before it began. */
function checkSeen(
  { operation, seen }: Reading,
  clients: ReadonlyMap<string, readonly Transfer[]>,
  findings: Findings,
): void {
  const where = `a read in ${operation.region}`;
  for (const [client, [count, highest]] of Object.entries(seen)) {
    const sent = (clients.get(client) ?? []).filter(({ action }) => action.number <= highest);
    const possible = sent.filter(({ outcome }) => outcome.kind !== 'failed');
    const last = sent.find(({ action }) => action.number === highest);
    if (last === undefined || last.invokedUs > endOf(operation)) {
      findings.object(`${where} shows transfer ${highest} of ${client} before it began`, [
        operation.id,
      ]);
    } else if (last.outcome.kind === 'failed') {
      findings.object(`${where} shows a transfer that failed`, [operation.id, last.id]);
    } else if (count !== possible.length) {
      const what = `${where} shows ${count} of ${possible.length} transfers of ${client} up to ${highest}`;
      findings.object(what, [operation.id]);
    }
  }
  for (const [client, transfers] of clients) {
    const highest = seen[client]?.[1] ?? 0;
    const missed = lastDoneBefore(transfers, operation.invokedUs);
    if (missed === null || missed.action.number <= highest) continue;
    const what = `${where} misses transfer ${missed.action.number} of ${client}, committed before it began`;
    findings.object(what, [missed.id, operation.id]);
  }
}

/** A client's transfers follow each other. */
function lastDoneBefore(transfers: readonly Transfer[], us: number): Transfer | null {
  let [low, high] = [0, transfers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((transfers[middle]?.completedUs ?? Infinity) < us) low = middle + 1;
    else high = middle;
  }
  for (let i = low - 1; i >= 0; i -= 1) {
    const transfer = transfers[i];
    if (transfer?.outcome.kind === 'ok') return transfer;
  }
  return null;
}

function checkMonotone(readings: readonly Reading[], findings: Findings): void {
  const ended = [...readings].sort((a, b) => endOf(a.operation) - endOf(b.operation));
  const begun = [...readings].sort((a, b) => a.operation.invokedUs - b.operation.invokedUs);
  const most = new Map<string, { readonly number: number; readonly by: Operation }>();
  let next = 0;
  for (const { operation, seen } of begun) {
    for (
      let it = ended[next];
      it !== undefined && endOf(it.operation) < operation.invokedUs;
      it = ended[next]
    ) {
      for (const [client, [, number]] of Object.entries(it.seen)) {
        if (number > (most.get(client)?.number ?? 0))
          most.set(client, { number, by: it.operation });
      }
      next += 1;
    }
    for (const [client, { number, by }] of most) {
      const now = seen[client]?.[1] ?? 0;
      if (now >= number) continue;
      const what = `a read in ${operation.region} shows ${now} transfers of ${client}; ${number} were seen in ${by.region}`;
      findings.object(what, [by.id, operation.id]);
    }
  }
}

function isTransfer(operation: Operation): operation is Transfer {
  return operation.action.kind === 'transfer';
}
