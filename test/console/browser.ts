/**
 * A real Chromium for the tests of the console: that of the machine, else the one of Debian's package, which
 * is installed when this may be done here. Without a browser the tests fail and say what to do: a console
 * that nobody has opened is not tested.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const INSTALL_MS = 240_000;

export async function openBrowser(): Promise<Browser> {
  const executablePath = find() ?? install();
  // As root, in a container, Chromium's own sandbox cannot be set up; it only opens our own pages.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args: [...args, '--disable-dev-shm-usage'] });
}

function find(): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const candidates = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [process.env['CHROMIUM'] ?? '', ...candidates].find((path) => existsSync(path)) ?? null;
}

function install(): string {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const commands = ['apt-get update', 'apt-get install -y --no-install-recommends chromium'];
  const said = commands.map((command) => {
    const ran = spawnSync('sh', ['-c', command], { env, encoding: 'utf8', timeout: INSTALL_MS });
    return `${command}: ${ran.status === 0 ? 'done' : (ran.error?.message ?? ran.stderr)}`;
  });
  const found = find();
  if (found !== null) return found;
  throw new Error(
    'the console is tested in a real Chromium, and there is none: install one (Debian: apt-get install ' +
      `chromium) or name it in the variable CHROMIUM.\nTried: ${said.join('\n')}`,
  );
}
