/** Where this repository is, from sources and from built code alike: for files that are not compiled. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = rootAbove(dirname(fileURLToPath(import.meta.url)));

function rootAbove(directory: string): string {
  if (existsSync(join(directory, 'package-lock.json')) || dirname(directory) === directory) {
    return directory;
  }
  return rootAbove(dirname(directory));
}
