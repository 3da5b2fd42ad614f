import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { batchesFrom } from './input.ts';
import type { InputOptions } from './input.ts';
import { contentJson, recordFromJson } from '../../libs/frames/record-json.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-input-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const PLAIN: InputOptions = {
  format: 'lines',
  encoding: 'utf8',
  common: {},
  batchRecords: 500,
  batchBytes: 1024,
};

async function batches(text: string | Uint8Array, more: Partial<InputOptions> = {}) {
  const file = join(directory, 'input');
  writeFileSync(file, text);
  const result: { bodies: string[]; lines: number }[] = [];
  for await (const { records, lines } of batchesFrom([file], { ...PLAIN, ...more })) {
    result.push({ bodies: records.map(({ body }) => Buffer.from(body).toString()), lines });
  }
  return result;
}

describe('records from a file', () => {
  it('are its lines, the last one without an end too, without carriage returns', async () => {
    expect(await batches('one\ntwo\r\n\nfour')).toEqual([
      { bodies: ['one', 'two', ''], lines: 3 },
      { bodies: ['four'], lines: 4 },
    ]);
  });

  it('fill batches up to a number of records or bytes', async () => {
    expect((await batches('a\nb\nc\n', { batchRecords: 2 })).map(({ bodies }) => bodies)).toEqual([
      ['a', 'b'],
      ['c'],
    ]);
    const long = `${'x'.repeat(700)}\n${'y'.repeat(700)}\n`;
    expect((await batches(long)).map(({ lines }) => lines)).toEqual([1, 2]);
  });

  it('are one batch when there is no bound', async () => {
    const bound = { batchRecords: Infinity, batchBytes: Infinity };
    expect(await batches('a\nb\nc', bound)).toEqual([{ bodies: ['a', 'b', 'c'], lines: 3 }]);
  });

  it('are one record when the file is taken whole', async () => {
    expect(await batches('a\nb\n', { format: 'whole' })).toEqual([
      { bodies: ['a\nb\n'], lines: 1 },
    ]);
  });

  it('are decoded, and refused with file and line where they cannot be', async () => {
    expect((await batches('aGk=\n', { encoding: 'base64' }))[0]?.bodies).toEqual(['hi']);
    await expect(batches('aGk=\n%%\n', { encoding: 'base64' })).rejects.toThrow(
      /input, line 2: not base64/,
    );
    await expect(batches('{"key":"k"}\n', { format: 'json' })).rejects.toThrow(
      /line 1: expected body/,
    );
  });

  it('pass over empty lines, progress and gaps of JSON lines', async () => {
    const text = '\n{"type":"progress","watermark":1}\n{"body":"x"}\n{"type":"gap"}\n';
    expect((await batches(text, { format: 'json' })).map(({ bodies }) => bodies)).toEqual([['x']]);
  });

  it('come from no file that is missing', async () => {
    const missing = batchesFrom([join(directory, 'nowhere')], PLAIN);
    await expect(missing.next()).rejects.toMatchObject({ reason: 'REFUSED' });
  });
});

describe('a record as JSON', () => {
  const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

  it.each(['utf8', 'base64', 'hex'] as const)('comes back from %s as it was', (encoding) => {
    const record = {
      body: bytes('{"a":1}\n\u0000'),
      key: bytes('k'),
      headers: [
        ['h', bytes('1')],
        ['h', bytes('2')],
      ] as const,
    };
    expect(recordFromJson(JSON.stringify(contentJson(record, encoding)), 'utf8')).toEqual(record);
  });

  it('that is not UTF-8 is written as base64 and says so', () => {
    const record = { body: bytes('\u00ff'), key: null, headers: [] };
    expect(contentJson(record, 'utf8')).toMatchObject({
      encoding: 'base64',
      body: '/w==',
      key: null,
    });
  });

  it.each([
    ['nonsense', 'not JSON'],
    ['[]', 'expected an object with a body'],
    ['{"body":1}', 'expected body, a text'],
    ['{"body":"x","encoding":"rot13"}', 'expected utf8, base64 or hex'],
    ['{"body":"xyz","encoding":"hex"}', 'body is not hex'],
    ['{"body":"","key":7}', 'expected key as text'],
    ['{"body":"","headers":"h"}', 'expected headers as a list'],
    ['{"body":"","headers":[["h"]]}', 'both text'],
  ])('%s is refused: %s', (line, problem) => {
    expect(recordFromJson(line, 'utf8')).toContain(problem);
  });
});
