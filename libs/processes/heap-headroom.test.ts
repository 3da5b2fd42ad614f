import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { growingPercent, HEADROOM_BYTES } from './heap-headroom.ts';

const MIB = 1024 * 1024;

it('a small heap may grow by the headroom, a large one as V8 likes', () => {
  expect(growingPercent(0)).toBe(800);
  expect(growingPercent(16 * MIB)).toBe(600);
  expect(growingPercent(40 * MIB)).toBe(200);
  expect(growingPercent(HEADROOM_BYTES)).toBe(100);
  expect(growingPercent(HEADROOM_BYTES + 1)).toBe(0);
  for (let used = MIB; used < 200 * MIB; used += MIB) {
    expect((growingPercent(used) / 100) * used).toBeLessThanOrEqual(HEADROOM_BYTES);
  }
});

it('this Node has the setting', () => {
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  expect(stdout).toContain('--heap-growing-percent');
});
