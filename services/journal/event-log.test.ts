import { expect, it } from 'vitest';
import { EventLog } from './event-log.ts';

function logged(): { log: EventLog; lines: unknown[][] } {
  const lines: unknown[][] = [];
  const take = (...line: unknown[]): void => {
    lines.push(line);
  };
  let now = 0;
  return { log: new EventLog({ info: take, warn: take } as never, () => (now += 1)), lines };
}

it('passes every line on and keeps it with time, kind and fields as text', () => {
  const { log, lines } = logged();
  log.info('begun');
  log.warn({ lane: 1, by: 'a', offsets: [1] }, 'sealed');
  expect(lines).toEqual([['begun'], [{ lane: 1, by: 'a', offsets: [1] }, 'sealed']]);
  expect(log.list).toEqual([
    { at: 1n, warning: false, message: 'begun', fields: {} },
    { at: 2n, warning: true, message: 'sealed', fields: { lane: '1', by: 'a', offsets: '[1]' } },
  ]);
});

it('forgets all but the last two hundred', () => {
  const { log } = logged();
  for (let i = 0; i < 250; i += 1) log.info(`line ${i}`);
  expect(log.list).toHaveLength(200);
  expect(log.list[0]?.message).toBe('line 50');
});
