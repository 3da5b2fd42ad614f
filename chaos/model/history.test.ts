/** What the recorder writes is what the reader reads, and a damaged file is refused. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { parseLine, readHistory } from './history.ts';
import { Recorder } from './recorder.ts';

const directory = mkdtempSync(join(tmpdir(), 'meridian-history-'));
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const options = { scenario: 's', seed: 7, regions: ['r0', 'r1'], command: 'npm run chaos -- s' };
const actor = { workload: 'lists', client: 'c1', region: 'r0' };
const append = {
  kind: 'append',
  instance: 1,
  stream: 'x',
  values: ['a', 'b'],
  ack: 'ORDERED',
} as const;

describe('a recorded history', () => {
  it('comes back with every operation, answered or not, in the order of invocation', async () => {
    const path = join(directory, 'whole', 'history.jsonl');
    const recorder = new Recorder({ ...options, path });
    const first = recorder.invoke(actor, append);
    await recorder.run(actor, append, () => Promise.resolve({ timestamp: 8, firstSeqNum: 2 }));
    await recorder.run(actor, append, () => {
      const details = { expected: 1, actual: 2 };
      return Promise.reject(new MeridianError('CONDITION_FAILED', 'no', { details }));
    });
    await recorder.run(actor, append, () => Promise.reject(new MeridianError('DEADLINE', 'late')));
    recorder.complete(first, { kind: 'ok', answer: { timestamp: 16 } });
    recorder.invoke(actor, append);
    const over = recorder.fault('cut r0-r1', 'r0');
    recorder.fault('pause r1', 'r1');
    over();
    const place = { timestamp: 8, instance: 1, recordOffset: 0 };
    recorder.resumed('o', { instance: 1 }, null);
    recorder.delivered({ observer: 'o', place, stream: 'x', firstSeqNum: 0, values: ['a', 'b'] });
    recorder.progress('o', 24);
    recorder.final({ place, stream: 'x', firstSeqNum: 0, values: ['a', 'b'] });
    recorder.row({ database: 'r0', table: 't', key: '1', columns: ['1', null] });
    recorder.close();

    const history = await readHistory(path);
    expect(history.header).toMatchObject({ seed: 7, scenario: 's' });
    expect(history.operations.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4]);
    expect(history.operations.map(({ outcome }) => outcome.kind)).toEqual([
      'ok',
      'ok',
      'failed',
      'unknown',
      'unknown',
    ]);
    expect(history.operations[2]?.outcome).toMatchObject({
      reason: 'CONDITION_FAILED',
      details: { expected: '1', actual: '2' },
    });
    expect(history.operations[4]?.completedUs).toBeNull();
    expect(history.faults.map(({ untilUs }) => untilUs === null)).toEqual([false, true]);
    const seen = history.observations.map(({ type }) => type);
    expect(seen).toEqual(['resumption', 'delivery', 'progress']);
    expect(history.final).toHaveLength(1);
    expect(history.rows).toHaveLength(1);
  });

  it('is refused with file and line where it is damaged', async () => {
    const path = join(directory, 'damaged.jsonl');
    const recorder = new Recorder({ ...options, path });
    recorder.close();
    appendFileSync(path, '{"type":"operation","id":1');
    await expect(readHistory(path)).rejects.toThrow(/damaged\.jsonl:2: not JSON/);
  });

  it.each([
    ['null', 'no line'],
    ['{"type":"toString"}', 'no line'],
    ['{"type":"progress","observer":"o","atUs":"late","watermark":1}', 'needs atUs'],
    ['{"type":"header","format":"other","version":1,"seed":1,"regions":[]}', 'expected format'],
  ])('refuses the line %s', (text, why) => {
    expect(() => parseLine(text, 'f:1')).toThrow(why);
  });

  it('needs a header', async () => {
    const path = join(directory, 'headless.jsonl');
    appendFileSync(path, '');
    await expect(readHistory(path)).rejects.toThrow('no header');
    expect(readFileSync(path, 'utf8')).toBe('');
  });

  it('does not take an error for an outcome that is not the system’s', async () => {
    const recorder = new Recorder({ ...options, path: join(directory, 'bug.jsonl') });
    const run = recorder.run(actor, append, () => Promise.reject(new TypeError('a bug')));
    await expect(run).rejects.toThrow('a bug');
    recorder.close();
  });
});
