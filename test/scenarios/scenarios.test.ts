/**
 * The interaction scenarios: `*.txt` beside this file. `UPDATE=1 npx vitest run test/scenarios` writes
 * what happens now into them, to be reviewed as a diff.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { play } from './play.ts';

const folder = new URL('./', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));

it('there are scenarios', () => {
  expect(names.length).toBeGreaterThan(10);
});

for (const name of names) {
  it(name.replace(/\.txt$/, '').replaceAll('-', ' '), () => {
    const file = new URL(name, folder);
    const before = readFileSync(file, 'utf8');
    const after = play(before);
    if (process.env['UPDATE'] === '1') writeFileSync(file, after);
    else expect(after).toBe(before);
    // A rule that is broken on purpose must show; everything else must hold to the end.
    expect(after.includes('fails:')).toBe(before.includes('> break'));
  });
}
