import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completionScript } from './completion.ts';
import { TABLE, optionsOf } from './table/table.ts';

/** What bash would offer for a command line whose last word is being typed. */
function offered(...words: string[]): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-completion-'));
  try {
    const file = join(directory, 'meridian.bash');
    writeFileSync(file, completionScript('bash'));
    const list = words.map((word) => `'${word}'`).join(' ');
    const script = `source '${file}'; COMP_WORDS=(meridian ${list}); COMP_CWORD=${words.length}; _meridian; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, status, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout.split('\n').filter((word) => word !== '');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

describe('the completion of bash', () => {
  it('offers commands, second words, options and their choices', () => {
    expect(offered('he')).toEqual(['heartbeat', 'help']);
    expect(offered('lease', 'r')).toEqual(['renew', 'release']);
    expect(offered('append', '--mat')).toEqual(['--match-seq-num']);
    expect(offered('lease', 'hold', '--tt')).toEqual(['--ttl']);
    expect(offered('append', '--ack', '')).toEqual(['quorum', 'ordered']);
    expect(offered('completion', 'f')).toEqual(['fish']);
  });
});

describe.each(['bash', 'zsh', 'fish'])('the completion of %s', (shell) => {
  it('knows every command and option', () => {
    const script = completionScript(shell);
    for (const command of TABLE.commands) {
      for (const word of command.path) expect(script).toContain(word);
      for (const { name } of optionsOf(command)) expect(script).toContain(name);
    }
  });

  it('has no quote left open', () => {
    for (const line of completionScript(shell).split('\n')) {
      if (line.trimStart().startsWith('#')) continue;
      const quotes = line.replaceAll('"$current"', '').match(/'/g) ?? [];
      expect(quotes.length % 2, line).toBe(0);
    }
  });
});
