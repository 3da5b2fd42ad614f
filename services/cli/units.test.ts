import { expect, it } from 'vitest';
import { nearest } from './suggest.ts';
import { counted, numbersText } from './units.ts';

it('counts in the singular and the plural', () => {
  expect([counted(0, 'record'), counted(1, 'record'), counted(2, 'record')]).toEqual([
    '0 records',
    '1 record',
    '2 records',
  ]);
  expect(counted(3, 'batch', 'batches')).toBe('3 batches');
});

it('names records by the first and the last of them', () => {
  expect([numbersText(7, 1), numbersText(7, 3)]).toEqual(['#7', '#7–9']);
});

it('guesses no name from one letter, of which every other one is as near', () => {
  expect(nearest('z', ['a', 'b'])).toBe(null);
  expect(nearest('lst', ['list', 'create'])).toBe('list');
});
