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

const daemons = units.filter(({ name }) => !name.startsWith('meridian-janitor@'));

const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n');

it('there is one for each service that hosts run', () => {
  expect(daemons.map(({ service }) => service).sort()).toEqual(['crossbar', 'journal', 'sidecar']);
});

it('the janitor runs by a timer, a round a time, as nobody that a replica is, and confined', () => {
  const path = (end: string): string =>
    units.find(({ name }) => name.startsWith('meridian-janitor@') && name.endsWith(end))?.path ??
    '';
  const lines = linesOf(path('.service'));
  expect(lines).toContain('Type=oneshot');
  expect(lines).toContain('DynamicUser=yes');
  const open = CONFINEMENT.filter((line) => !lines.includes(line));
  expect(open).toEqual(['RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX']);
  const start = lines.find((line) => line.startsWith('ExecStart='));
  expect(start).toMatch(/dist\/services\/cli\/main\.js archive clean \$\{ARCHIVE\} \$RULES$/);
  expect(linesOf(path('.timer'))).toContain('WantedBy=timers.target');
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
