/**
 * Linearizability without a search. An append's answer says where it stands, a read's how far it saw: so
 * the order is known, and what is left to check is that nothing which was over before something else
 * began stands behind it. One sweep over the operations in the stream's order, O(n log n) for sorting.
 *
 * A QUORUM append is answered before its place is final: nothing orders it before a later append, but
 * every later read has to show it.
 */
import type { History } from '../model/history.ts';
import type { Operation } from '../model/operation.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { endOf, FinalLog, isAppend, streamKey } from './final-log.ts';
import type { Append } from './final-log.ts';

interface Event {
  readonly operation: Operation;
  /** 2t: looked when the tail was t; 2t + 1: appended when it was t. */
  readonly key: number;
  /** `mismatch`: a condition that failed; it looked at the tail at its own place in the order. */
  readonly role: 'ordered' | 'quorum' | 'look' | 'mismatch';
  readonly endedUs: number;
}

export function checkKnownOrder(history: History): Verdict {
  const findings = new Findings('linearizable streams, in the known order', 'I5 I13');
  const log = new FinalLog(history);
  const streams = new Map<string, Event[]>();
  for (const operation of history.operations) {
    const { action } = operation;
    if (!('stream' in action)) continue;
    const event = isAppend(operation)
      ? appendEvent(operation, log, findings)
      : lookEvent(operation, log, findings);
    if (event === null) continue;
    findings.checked += 1;
    const key = streamKey(action.instance, action.stream);
    const events = streams.get(key);
    if (events === undefined) streams.set(key, [event]);
    else events.push(event);
  }
  for (const [name, events] of streams) sweep(name, events, findings);
  return findings.verdict();
}

/** Its place, and whether the condition and the log agree with the answer. */
function appendEvent(append: Append, log: FinalLog, findings: Findings): Event | null {
  const { action, outcome, id } = append;
  if (outcome.kind === 'failed') {
    const actual = Number(outcome.details?.['actual']);
    if (outcome.reason !== 'CONDITION_FAILED' || action.matchSeqNum === undefined) return null;
    if (actual === action.matchSeqNum) {
      findings.object(`the condition that the tail is ${actual} failed because it is that`, [id]);
    }
    return { operation: append, key: 2 * actual, role: 'mismatch', endedUs: endOf(append) };
  }
  const place = log.seqNumOf(append);
  if (place === null) return null;
  const answered = outcome.kind === 'ok' ? outcome.answer.firstSeqNum : undefined;
  if (answered !== undefined && answered !== place) {
    findings.object(`was told number ${answered} and stands at ${place}`, [id]);
  }
  if (action.matchSeqNum !== undefined && action.matchSeqNum !== place) {
    findings.object(`appended at ${place} on the condition that it is ${action.matchSeqNum}`, [id]);
  }
  const role = action.ack === 'QUORUM' ? 'quorum' : 'ordered';
  return { operation: append, key: 2 * place + 1, role, endedUs: endOf(append) };
}

/** How far it saw, and whether what it saw is what stands there. */
function lookEvent(operation: Operation, log: FinalLog, findings: Findings): Event | null {
  const { action, outcome, id } = operation;
  if (action.kind !== 'read' && action.kind !== 'tail') return null;
  if (outcome.kind !== 'ok' || outcome.answer.tail === undefined) return null;
  const { tail, values, firstSeqNum } = outcome.answer;
  if (!log.hadTail(action.instance, action.stream, tail)) {
    findings.object(`saw the tail ${tail}, where no batch ends`, [id]);
  }
  if (action.kind === 'read' && values !== undefined) {
    const first = firstSeqNum ?? action.from;
    const final = (i: number) => log.valueAt(action.instance, action.stream, first + i);
    const due = Math.max(0, tail - action.from);
    if (values.length !== due || (due > 0 && first !== action.from)) {
      const range = `${values.length} values from ${first}`;
      findings.object(`asked for all from ${action.from} to the tail ${tail}, got ${range}`, [id]);
    }
    const wrong = values.findIndex((value, i) => final(i) !== value);
    if (wrong !== -1) {
      const stands = final(wrong) ?? 'nothing';
      const what = `read ${values[wrong]} at number ${first + wrong}, where ${stands} stands`;
      findings.object(what, [id]);
    }
  }
  return { operation, key: 2 * tail, role: 'look', endedUs: endOf(operation) };
}

function sweep(name: string, events: Event[], findings: Findings): void {
  events.sort((a, b) => a.key - b.key);
  let latest: Event | null = null;
  let latestLook: Event | null = null;
  for (let start = 0; start < events.length;) {
    const key = events[start]?.key;
    let end = start;
    while (end < events.length && events[end]?.key === key) end += 1;
    const group = events.slice(start, end);
    for (const event of group) {
      // Whatever stands before this one must have begun before this one was over.
      const before = event.role === 'quorum' ? latestLook : latest;
      if (before === null || before.operation.invokedUs <= event.endedUs) continue;
      const over = `${nameOf(event)} ${claimOf(event)} and was answered`;
      const what = `${over} before ${nameOf(before)} began, which ${claimOf(before)}`;
      findings.object(`stream ${name}: ${what}`, [event.operation.id, before.operation.id]);
    }
    const appends = group.filter(({ role }) => role === 'ordered' || role === 'quorum');
    if (appends.length > 1) {
      const ids = appends.map(({ operation }) => operation.id);
      findings.object(`stream ${name}: several appends stand at ${((key ?? 0) - 1) / 2}`, ids);
    }
    for (const event of group) {
      latest = later(latest, event);
      if (event.role === 'look') latestLook = later(latestLook, event);
    }
    start = end;
  }
}

function nameOf({ operation }: Event): string {
  return `${operation.action.kind} ${operation.id}`;
}

function claimOf({ key, role }: Event): string {
  const looked = role === 'look' || role === 'mismatch';
  return looked ? `saw the tail ${key / 2}` : `stands at ${(key - 1) / 2}`;
}

function later(a: Event | null, b: Event): Event {
  return a === null || b.operation.invokedUs > a.operation.invokedUs ? b : a;
}
