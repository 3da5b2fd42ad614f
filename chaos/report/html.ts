/** Text inside a page: nothing that a history holds can become markup. */
import type { Action, Outcome } from '../model/operation.ts';

export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

export function shortTime(us: number): string {
  return us < 1e6 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1e6).toFixed(3)} s`;
}

export function count(value: number): string {
  return value.toLocaleString('en').replaceAll(',', '\u202f');
}

/** A fault and what it strikes, where its name does not say so already. */
export function faultText({
  name,
  target,
}: {
  readonly name: string;
  readonly target: string;
}): string {
  const said = new Set(wordsIn(name));
  return wordsIn(target).every((word) => said.has(word)) ? name : `${name} ${target}`;
}

function wordsIn(text: string): string[] {
  return text.split(/[\s,()]+/).filter((word) => word !== '');
}

/** What was asked, in a few words. */
export function asked(action: Action): string {
  const { kind, ...rest } = action;
  const words = Object.entries(rest).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return name === 'stream' ? text : `${name} ${shorten(text)}`;
  });
  return [kind, ...words].join(' · ');
}

export function answered(outcome: Outcome): string {
  if (outcome.kind === 'unknown') return `unknown: ${outcome.reason}`;
  const details = outcome.kind === 'ok' ? outcome.answer : (outcome.details ?? {});
  const words = Object.entries(details).map(
    ([name, value]) =>
      `${name} ${shorten(typeof value === 'string' ? value : JSON.stringify(value))}`,
  );
  const head = outcome.kind === 'ok' ? 'ok' : `failed: ${outcome.reason}`;
  return [head, ...words].join(' · ');
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}
