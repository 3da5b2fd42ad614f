import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultDirectory, openStateDirectory } from './state-directory.ts';
import { portsFrom } from './topology.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'meridian-state-'));
  chmodSync(root, 0o755);
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

describe('the state directory', () => {
  it('remembers its ports for the next run', () => {
    const first = openStateDirectory(join(root, 'state'), false);
    expect(first.ports).toBeNull();
    first.savePorts(portsFrom(2000));
    first.unlock();
    expect(openStateDirectory(first.path, false).ports).toEqual(portsFrom(2000));
  });

  it('chooses ports anew where an earlier version knew fewer', () => {
    const first = openStateDirectory(join(root, 'state'), false);
    const { a, b, c } = portsFrom(2000);
    const { http, ...before } = a;
    expect(http.one).toBe(2051);
    first.savePorts({ a: before as typeof a, b, c });
    first.unlock();
    expect(openStateDirectory(first.path, false).ports).toBeNull();
  });

  it('is emptied when a fresh start is asked for, its ports included', () => {
    const first = openStateDirectory(join(root, 'state'), false);
    first.savePorts(portsFrom(2000));
    mkdirSync(join(first.path, 'postgres-a'));
    first.unlock();
    const second = openStateDirectory(first.path, true);
    expect(second.ports).toBeNull();
    expect(existsSync(join(first.path, 'postgres-a'))).toBe(false);
  });

  it('refuses a directory with other things in it, and leaves them alone', () => {
    writeFileSync(join(root, 'thesis.txt'), 'years of work');
    expect(() => openStateDirectory(root, true)).toThrow(/not a state directory of Meridian/);
    expect(readFileSync(join(root, 'thesis.txt'), 'utf8')).toBe('years of work');
  });

  it('refuses a directory that another process uses, naming the process', () => {
    const child = spawn('sleep', ['100']);
    try {
      openStateDirectory(root, false).unlock();
      writeFileSync(join(root, 'lock'), String(child.pid));
      expect(() => openStateDirectory(root, false)).toThrow(
        new RegExp(`in use by process ${String(child.pid)}: stop that one`),
      );
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('takes over from a process that died without unlocking', async () => {
    const dead = spawn('true');
    await new Promise((resolve) => dead.once('exit', resolve));
    openStateDirectory(root, false).unlock();
    writeFileSync(join(root, 'lock'), String(dead.pid));
    openStateDirectory(root, false);
    expect(readFileSync(join(root, 'lock'), 'utf8')).toBe(String(process.pid));
  });

  it('refuses a format it does not know, and can start over', () => {
    writeFileSync(join(root, 'meridian-local.json'), '{"format":99,"ports":null}');
    expect(() => openStateDirectory(root, false)).toThrow(/format 99.*start over with --fresh/);
    expect(openStateDirectory(root, true).ports).toBeNull();
  });

  it('is .meridian beside package.json wherever Postgres can get to it', () => {
    expect(defaultDirectory(root)).toBe(join(root, '.meridian'));
  });

  it('is below the folder for temporary files where only root may pass', () => {
    chmodSync(root, 0o700);
    const chosen = defaultDirectory(root);
    if (process.getuid?.() === 0) expect(chosen).toMatch(/meridian-[0-9a-f]{8}$/);
    else expect(chosen).toBe(join(root, '.meridian')); // our Postgres runs as ourselves
  });
});
