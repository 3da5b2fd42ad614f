import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completionScript } from './completion.ts';
import { TABLE, optionsOf } from './table/table.ts';

/** What bash would offer for a command line whose last word is being typed. */
function offered(...words: string[]): string[] {
  return offeredIn('.', ...words);
}

function offeredIn(cwd: string, ...words: string[]): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-completion-'));
  try {
    const file = join(directory, 'meridian.bash');
    writeFileSync(file, completionScript('bash'));
    const list = words.map((word) => `'${word}'`).join(' ');
    const script = `source '${file}'; COMP_WORDS=(meridian ${list}); COMP_CWORD=${words.length}; _meridian; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, status, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd });
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

  it('knows short options, values behind =, options before the command, and the words of help', () => {
    expect(offered('status', '-o', 'j')).toEqual(['json']);
    expect(offered('append', '--ack', '=', 'q')).toEqual(['quorum']);
    expect(offered('append', '--ack', '=')).toEqual(['quorum', 'ordered']);
    expect(offered('--output', 'json', 'lease', 'h')).toEqual(['hold']);
    expect(offered('--output', '=', 'json', 'lease', 'h')).toEqual(['hold']);
    expect(offered('-o', 'json', 'che')).toEqual(['check-tail', 'check-impact']);
    expect(offered('help', 'lease', 'h')).toEqual(['hold']);
  });

  it('offers nothing where only the user knows, files where a path is meant, programs behind --', () => {
    expect(offered('append', '--key', '')).toEqual([]);
    const directory = mkdtempSync(join(tmpdir(), 'meridian-completion-'));
    try {
      writeFileSync(join(directory, 'my records.txt'), '');
      for (const words of [
        ['append', '-f'],
        ['status', '--tls-ca'],
        ['verify'],
        ['certs', 'show'],
      ]) {
        expect(offeredIn(directory, ...words, 'my')).toEqual(['my records.txt']);
      }
      expect(offeredIn(directory, 'dev', '--', 'true')).toContain('true');
      expect(offeredIn(directory, 'dev', '--', 'cat', 'my')).toEqual(['my records.txt']);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
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
