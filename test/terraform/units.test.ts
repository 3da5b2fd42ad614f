/** The systemd units that a release brings: they start what is there, as nobody in particular, and confined. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../layout/source-files.ts';

const CONFINEMENT = [
  'NoNewPrivileges=yes',
  'CapabilityBoundingSet=',
  'ProtectSystem=strict',
  'ProtectHome=yes',
  'ProtectKernelModules=yes',
  'ProtectKernelTunables=yes',
  'ProtectControlGroups=yes',
  'PrivateDevices=yes',
  'PrivateTmp=yes',
  'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX',
  'RestrictNamespaces=yes',
  'RestrictSUIDSGID=yes',
  'SystemCallArchitectures=native',
  'SystemCallFilter=@system-service',
  'UMask=0077',
];

const units = readdirSync(join(ROOT, 'services')).flatMap((service) => {
  const directory = join(ROOT, 'services', service, 'systemd');
  return existsSync(directory)
    ? readdirSync(directory).map((name) => ({ service, name, path: join(directory, name) }))
    : [];
});

const janitor = units.find(({ name }) => name === 'meridian-janitor.service');
const daemons = units.filter((unit) => unit !== janitor);

const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n');

it('there is one for each service that hosts run', () => {
  expect(daemons.map(({ service }) => service).sort()).toEqual(['crossbar', 'journal', 'sidecar']);
});

it('the janitor runs as nobody that a replica is, confined, again except after a refused configuration', () => {
  const lines = linesOf(janitor?.path ?? '');
  expect(lines).toContain('DynamicUser=yes');
  expect(lines.filter((line) => /^(User|Group)=/.test(line))).toEqual([]);
  expect(CONFINEMENT.filter((line) => !lines.includes(line))).toEqual([]);
  expect(lines).toContain('Restart=always');
  expect(lines).toContain('RestartPreventExitStatus=78');
  const start = lines.find((line) => line.startsWith('ExecStart=')) ?? '';
  const program = /\/opt\/meridian\/current\/dist\/(\S+)\.js --config/.exec(start)?.[1] ?? '';
  expect(existsSync(join(ROOT, `${program}.ts`)), program).toBe(true);
});

describe.each(daemons)('$name', ({ service, path }) => {
  const lines = linesOf(path);

  it('starts a program that a release holds', () => {
    const [start = '', ...others] = lines.filter((line) => line.startsWith('ExecStart='));
    expect(others).toEqual([]);
    const program = /\/opt\/meridian\/current\/dist\/(\S+)\.js/.exec(start)?.[1] ?? '';
    expect(program).toBe(`services/${service}/main`);
    expect(existsSync(join(ROOT, `${program}.ts`))).toBe(true);
  });

  it('is confined, and does not run as root', () => {
    expect(lines).toContain('User=meridian');
    expect(CONFINEMENT.filter((line) => !lines.includes(line))).toEqual([]);
  });

  it('starts again, except after a configuration that was refused', () => {
    expect(lines).toContain('Restart=always');
    const codes = lines.find((line) => line.startsWith('RestartPreventExitStatus='));
    expect(codes?.split('=')[1]?.split(' ')).toContain('78');
  });
});
