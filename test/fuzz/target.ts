/** A decoder under test, and what is true of every input. */
import { getHeapStatistics } from 'node:v8';
import { MeridianError } from '../../libs/errors/errors.ts';

export interface Target {
  readonly name: string;
  /** Inputs that are right. */
  readonly seeds: readonly Uint8Array[];
  /** Others that lead somewhere, and are refused. */
  readonly hints?: readonly Uint8Array[];
  /**
   * Decodes, and encodes what came out. May throw a MeridianError; whatever else it throws is a finding,
   * and so is a value that is another one after a round.
   */
  readonly run: (bytes: Uint8Array) => void;
  /** Makes lengths and checksums of an input right again, so that what lies behind them is reached. */
  readonly repair?: (bytes: Buffer) => Buffer;
}

export type Judgement = 'accepted' | 'refused';

export interface Limits {
  readonly inputMs: number;
  readonly inputBytes: number;
}

/** A decoder may take memory for what it is given, and some for itself. */
export const LIMITS: Limits = { inputMs: 2_000, inputBytes: 64 * 1024 * 1024 };

/** Throws what is wrong. */
export function judge(target: Target, bytes: Uint8Array, limits: Limits = LIMITS): Judgement {
  const before = memoryBytes();
  const began = process.cpuUsage();
  let judgement: Judgement = 'accepted';
  try {
    target.run(bytes);
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error;
    judgement = 'refused';
  }
  const { user, system } = process.cpuUsage(began);
  const tookMs = (user + system) / 1000;
  if (tookMs > limits.inputMs) throw new Error(`took ${tookMs.toFixed(0)} ms of processor time`);
  const grown = memoryBytes() - before;
  if (grown > limits.inputBytes) throw new Error(`took ${grown} bytes of memory`);
  return judgement;
}

function memoryBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

/** For `run`: what was decoded, encoded and decoded again must be the same. */
export function same(once: unknown, again: unknown): void {
  const [a, b] = [shown(once), shown(again)];
  if (a !== b) throw new Error(`is another value after a round:\n  ${a}\n  ${b}`);
}

function shown(value: unknown): string {
  // A Buffer would turn itself into something else before the replacer sees it.
  return JSON.stringify(value, function (this: Readonly<Record<string, unknown>>, key) {
    const it = this[key];
    if (typeof it === 'bigint') return `${it}n`;
    if (typeof it === 'symbol') return it.toString();
    if (it instanceof Uint8Array) return Buffer.from(it).toString('hex');
    if (typeof it !== 'object' || it === null || Array.isArray(it)) return it;
    // In which order the fields came is no part of the value.
    return Object.fromEntries(Object.entries(it).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
