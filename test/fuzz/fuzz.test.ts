/**
 * What fuzzing has found stays found: every input of the corpus is judged again. A little fuzzing of every
 * decoder, always the same. And the harness itself: what it is there to find, it finds.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { fuzz, problemOf } from './campaign.ts';
import { judge } from './target.ts';
import type { Target } from './target.ts';
import { allTargets } from './targets.ts';

const CORPUS = fileURLToPath(new URL('corpus', import.meta.url));
const targets = await allTargets();
const found = readdirSync(CORPUS).flatMap((name) =>
  readdirSync(join(CORPUS, name)).map((file) => [name, file] as const),
);
const bounds = { seconds: Infinity, inputsMax: 100, seed: 7, onInput: () => undefined };

describe('an input that was found', () => {
  it.each(found)('of %s does no harm any more: %s', (name, file) => {
    const target = targets.find((it) => it.name === name);
    if (target === undefined) throw new Error(`no target ${name}`);
    const input = Buffer.from(readFileSync(join(CORPUS, name, file), 'utf8').trim(), 'hex');
    expect(problemOf(target, input)).toBeNull();
  });
});

describe('a hundred inputs', () => {
  it.each(targets.map((target) => [target.name, target] as const))('do no harm to %s', (_, it) => {
    expect(fuzz(it, bounds).findings).toEqual([]);
  });
});

describe('the fuzzer', () => {
  const seed = Buffer.from('0400000061626364', 'hex');
  const decode = (bytes: Uint8Array): string => {
    const size = bytes.length < 4 ? Infinity : Buffer.from(bytes).readUInt32LE(0);
    if (size > bytes.length - 4) throw new MeridianError('INVALID', 'cut off');
    return Buffer.from(bytes.subarray(4, 4 + size)).toString('latin1');
  };
  const targetOf = (run: (bytes: Uint8Array) => void): Target => ({
    name: 't',
    seeds: [seed],
    run,
  });
  const many = { ...bounds, inputsMax: 20_000 };

  it('finds nothing in a decoder that is right', () => {
    const result = fuzz(targetOf(decode), { ...many, inputsMax: 2_000 });
    expect(result.findings).toEqual([]);
    expect(result.accepted).toBeGreaterThan(10);
    expect(result.accepted).toBeLessThan(2_000);
  });

  it('finds an exception that is not a MeridianError, and makes the input small', () => {
    const run = (bytes: Uint8Array): void => {
      if (decode(bytes).includes('\xff')) throw new TypeError('found');
    };
    const [finding] = fuzz(targetOf(run), many).findings;
    expect(finding?.what).toContain('TypeError: found');
    expect(finding?.input.length).toBeLessThanOrEqual(8);
  });

  it('finds a size that is believed', () => {
    const run = (bytes: Uint8Array): void => {
      const size = bytes.length < 4 ? 0 : Buffer.from(bytes).readUInt32LE(0);
      Buffer.alloc(Math.min(size, 2 ** 28));
    };
    expect(problemOf(targetOf(run), Buffer.from('ffffff0f', 'hex'))).toContain('bytes of memory');
  });

  it('finds an input that takes too long', () => {
    const target = targetOf((bytes) => {
      const endsAt = performance.now() + bytes.length * 100;
      while (performance.now() < endsAt);
    });
    expect(() => judge(target, seed, { inputMs: 5, inputBytes: Infinity })).toThrow('took');
  });

  it('makes the same inputs of the same seed', () => {
    const inputs = (): string[] => {
      const list: string[] = [];
      const onInput = (bytes: Uint8Array): void =>
        void list.push(Buffer.from(bytes).toString('hex'));
      fuzz(targetOf(decode), { ...bounds, onInput });
      return list;
    };
    expect(inputs()).toEqual(inputs());
  });
});
