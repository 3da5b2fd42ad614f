/** READMEs that tell the truth, and inputs that are all used. `UPDATE=1` writes the references anew. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { format } from 'prettier';
import { ROOT } from '../layout/source-files.ts';
import { codeOf, variablesOf, withReference } from './reference.ts';

const TERRAFORM = join(ROOT, 'terraform');
const FOLDERS = [
  '.',
  ...['modules', 'examples'].flatMap((folder) =>
    readdirSync(join(TERRAFORM, folder)).map((name) => `${folder}/${name}`),
  ),
];

describe.each(FOLDERS)('terraform/%s', (folder) => {
  const directory = join(TERRAFORM, folder);

  it('has a README whose reference is that of its code', async () => {
    const file = join(directory, 'README.md');
    const readme = readFileSync(file, 'utf8');
    const fresh = await format(withReference(readme, directory), {
      parser: 'markdown',
      printWidth: 100,
    });
    if (process.env['UPDATE'] === '1') writeFileSync(file, fresh);
    else expect(readme, 'run this test with UPDATE=1').toBe(fresh);
  });

  it('uses every one of its variables', () => {
    const code = codeOf(directory);
    const unused = variablesOf(directory).filter((name) => {
      const elsewhere = code.replace(new RegExp(`^variable "${name}" \\{[\\s\\S]*?^\\}`, 'm'), '');
      return !new RegExp(`\\bvar\\.${name}\\b`).test(elsewhere);
    });
    expect(unused).toEqual([]);
  });
});
