import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { expect, it } from 'vitest';
import { REFERENCE_MARK, reference } from './reference.ts';

const FILE = fileURLToPath(new URL('README.md', import.meta.url));

it('README.md has the reference that the table gives', async () => {
  const text = readFileSync(FILE, 'utf8');
  const [before = ''] = text.split(REFERENCE_MARK);
  const settings = await resolveConfig(FILE);
  const wanted = await format(`${before}${reference()}`, { ...settings, parser: 'markdown' });
  if (process.env['UPDATE'] === '1') writeFileSync(FILE, wanted);
  expect(readFileSync(FILE, 'utf8')).toBe(wanted);
});
