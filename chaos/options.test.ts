import { describe, expect, it } from 'vitest';
import { MeridianError } from '../libs/errors/errors.ts';
import { parseOptions } from './options.ts';
import { Random } from './random.ts';
import { SCENARIOS, scenariosNamed } from './scenarios/catalogue.ts';

describe('the command line', () => {
  it('takes scenarios, a seed and a length', () => {
    const options = parseOptions(['net', 'disk/full', '--seed', '7', '--minutes', '0.5']);
    expect(options).toMatchObject({ mode: 'run', names: ['net', 'disk/full'], seed: 7 });
    expect(options.minutes).toBe(0.5);
    expect(parseOptions(['--list']).mode).toBe('list');
    expect(parseOptions(['availability']).mode).toBe('availability');
  });

  it.each([[[]], [['net', '--seed', 'x']], [['net', '--minutes', '-1']], [['net', '--fast']]])(
    'refuses %j and says what there is',
    (args) => {
      expect(() => parseOptions(args)).toThrow(MeridianError);
    },
  );
});

describe('the catalogue', () => {
  it('has at least 24 scenarios, each with a name of its own, a floor and a row', () => {
    expect(SCENARIOS.length).toBeGreaterThanOrEqual(24);
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
    for (const { operationsMin, rows } of SCENARIOS) {
      expect(operationsMin).toBeGreaterThan(0);
      expect(rows.length).toBeGreaterThan(0);
    }
  });

  it('gives scenarios by name, by folder, or all, each once', () => {
    expect(scenariosNamed(['net/slicer', 'net/slicer']).map(({ name }) => name)).toEqual([
      'net/slicer',
    ]);
    expect(scenariosNamed(['disk']).every(({ name }) => name.startsWith('disk/'))).toBe(true);
    expect(scenariosNamed(['all'])).toHaveLength(SCENARIOS.length);
    expect(() => scenariosNamed(['nothing'])).toThrow(/no scenario is called nothing/);
  });
});

describe('choices', () => {
  const drawn = (seed: number, part: string): number[] => {
    const random = new Random(seed).fork(part);
    return Array.from({ length: 20 }, () => random.integer(0, 9));
  };

  it('are decided by the seed and the part of the run', () => {
    expect(drawn(1, 'net')).toEqual(drawn(1, 'net'));
    expect(drawn(1, 'net')).not.toEqual(drawn(2, 'net'));
    expect(drawn(1, 'net')).not.toEqual(drawn(1, 'disk'));
  });

  it('stay inside their bounds, and a shuffle keeps everything', () => {
    const numbers = drawn(3, 'x');
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...numbers)).toBeLessThanOrEqual(9);
    expect(new Random(4).shuffle([1, 2, 3, 4]).sort()).toEqual([1, 2, 3, 4]);
  });
});
