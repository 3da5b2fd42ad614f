/**
 * The scripts that hosts run, each against programs that stand in for AWS and for what needs root: what
 * they do when all is well, and that they stop where going on would cost data.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseSealingKeys } from '../../libs/archive/sealing.ts';
import { ROOT } from '../layout/source-files.ts';

const MODULES = join(ROOT, 'terraform/modules');

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'meridian-host-'));
  mkdirSync(join(root, 'bin'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function file(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

/** A program on PATH before the real ones; every call is noted in `calls`. */
function program(name: string, body = ''): void {
  const path = join(root, 'bin', name);
  writeFileSync(path, `#!/bin/bash\necho "${name} $*" >>"$MERIDIAN_ROOT/calls"\n${body}\n`);
  chmodSync(path, 0o755);
}

function calls(): string[] {
  const path = join(root, 'calls');
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
}

function run(
  script: string,
  environment: Readonly<Record<string, string>> = {},
  ...args: readonly string[]
) {
  return spawnSync('bash', [join(MODULES, script), ...args], {
    encoding: 'utf8',
    env: {
      PATH: `${join(root, 'bin')}:${process.env['PATH'] ?? ''}`,
      MERIDIAN_ROOT: root,
      ...environment,
    },
  });
}

describe('every script', () => {
  const scripts = readdirSync(MODULES, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.sh'),
  );

  it.each(scripts)('%s is correct shell and stops at the first mistake', (script) => {
    expect(spawnSync('bash', ['-n', join(MODULES, script)]).status).toBe(0);
    expect(readFileSync(join(MODULES, script), 'utf8')).toMatch(/^set -e?uo pipefail$/m);
  });
});

describe('installing a release', () => {
  /** A release, and what setup.env says of it. */
  function release(): Record<string, string> {
    file('source/meridian-1.0.0/systemd/meridian-crossbar.service', '[Unit]\n');
    file('source/meridian-1.0.0/dist/main.js', '');
    const archive = join(root, 'release.tar.gz');
    spawnSync('tar', ['-czf', archive, '-C', join(root, 'source'), 'meridian-1.0.0']);
    program('aws', `cp "$MERIDIAN_ROOT/release.tar.gz" "\${@: -1}"`);
    return {
      ARTIFACT_URL: 's3://releases/meridian-1.0.0.tar.gz',
      ARTIFACT_SHA256: createHash('sha256').update(readFileSync(archive)).digest('hex'),
    };
  }

  it('puts it beside older ones, makes it the current one, and installs its units', () => {
    const environment = release();
    expect(run('host/files/release.sh', environment)).toMatchObject({ status: 0, stderr: '' });
    expect(existsSync(join(root, 'opt/meridian/current/dist/main.js'))).toBe(true);
    expect(existsSync(join(root, 'etc/systemd/system/meridian-crossbar.service'))).toBe(true);
    expect(run('host/files/release.sh', environment).status).toBe(0);
    expect(calls()).toHaveLength(1);
  });

  it('refuses one with another hash and leaves nothing of it', () => {
    const environment = { ...release(), ARTIFACT_SHA256: 'ab'.repeat(32) };
    expect(run('host/files/release.sh', environment).status).not.toBe(0);
    expect(readdirSync(join(root, 'opt/meridian'))).toEqual([]);
  });
});

describe("attaching a member's volume", () => {
  const DEVICE = 'dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0abc';

  /** `holder`: who has the volume; `blkid`: its answer for what is on it. */
  function host(options: { volumes?: number; holder?: string; blkid?: number }): void {
    const { volumes = 1, holder = '', blkid = 0 } = options;
    file('etc/meridian/member.env', 'MEMBER=test-orders-0\nJOURNAL=orders\n');
    mkdirSync(join(root, dirname(DEVICE)), { recursive: true });
    const attachments = holder === '' ? [] : [{ InstanceId: holder }];
    const found = Array.from({ length: volumes }, () => ({
      VolumeId: 'vol-0abc',
      Attachments: attachments,
    }));
    file('volumes.json', JSON.stringify({ Volumes: found }));
    if (holder !== '') file(DEVICE, '');
    program('curl', 'case $* in *api/token*) echo token ;; *) echo i-self ;; esac');
    program(
      'aws',
      `case "$*" in
        *describe-volumes*) cat "$MERIDIAN_ROOT/volumes.json" ;;
        *attach-volume*) ${holder === '' ? `touch "$MERIDIAN_ROOT/${DEVICE}"` : 'exit 254'} ;;
      esac`,
    );
    program('blkid', `exit ${String(blkid)}`);
    program('mountpoint', 'exit 1');
    for (const name of ['mkfs.xfs', 'mount', 'xfs_growfs', 'chown']) program(name);
  }
  const said = (): string[] => calls().map((call) => call.split(' ')[0] ?? '');

  it('mounts the one with its tag, with what is on it', () => {
    host({});
    expect(run('member/files/attach-volume.sh')).toMatchObject({ status: 0, stderr: '' });
    expect(calls().join('\n')).toContain('Name=tag:meridian:member,Values=test-orders-0');
    expect(said()).toContain('mount');
    expect(said()).not.toContain('mkfs.xfs');
  });

  it('makes a file system on a blank one', () => {
    host({ blkid: 2 });
    expect(run('member/files/attach-volume.sh').status).toBe(0);
    expect(said()).toContain('mkfs.xfs');
  });

  it('makes no file system where it cannot tell what is there', () => {
    host({ blkid: 8 });
    expect(run('member/files/attach-volume.sh').status).not.toBe(0);
    expect(said()).not.toContain('mkfs.xfs');
    expect(said()).not.toContain('mount');
  });

  it('does not take it from another host', () => {
    host({ holder: 'i-other' });
    expect(run('member/files/attach-volume.sh').status).not.toBe(0);
    expect(calls().join('\n')).not.toMatch(/detach|--force/);
    expect(said()).not.toContain('mount');
  });

  it('uses the one it has already', () => {
    host({ holder: 'i-self' });
    expect(run('member/files/attach-volume.sh').status).toBe(0);
    expect(calls().join('\n')).not.toContain('attach-volume');
    expect(said()).toContain('mount');
  });

  it.each([0, 2])('does not choose among %d', (volumes) => {
    host({ volumes });
    const { status, stderr } = run('member/files/attach-volume.sh');
    expect(status).not.toBe(0);
    expect(stderr).toContain('expected exactly one volume');
  });
});

describe("attaching a member's fixed address", () => {
  function host(holder: string): void {
    file('etc/meridian/member.env', 'MEMBER=test-orders-0\nJOURNAL=orders\n');
    const attachment = holder === '' ? {} : { Attachment: { InstanceId: holder } };
    const found = [{ NetworkInterfaceId: 'eni-0abc', ...attachment }];
    file('interfaces.json', JSON.stringify({ NetworkInterfaces: found }));
    program('curl', 'case $* in *api/token*) echo token ;; *) echo i-self ;; esac');
    program(
      'aws',
      `case "$*" in
        *describe-network-interfaces*) cat "$MERIDIAN_ROOT/interfaces.json" ;;
        *attach-network-interface*) ${holder === '' ? 'true' : 'exit 254'} ;;
      esac`,
    );
  }
  const attached = (): boolean => calls().some((call) => call.includes(' attach-network'));

  it('attaches the one with its tag', () => {
    host('');
    expect(run('member/files/attach-address.sh')).toMatchObject({ status: 0, stderr: '' });
    expect(calls().join('\n')).toContain('Name=tag:meridian:member,Values=test-orders-0');
    expect(attached()).toBe(true);
  });

  it('uses the one it has already', () => {
    host('i-self');
    expect(run('member/files/attach-address.sh').status).toBe(0);
    expect(attached()).toBe(false);
  });

  it('waits for a host that still has it', () => {
    host('i-other');
    expect(run('member/files/attach-address.sh').status).not.toBe(0);
    expect(calls().join('\n')).not.toMatch(/detach|--force/);
  });
});

describe('the first start on a blank volume', () => {
  function host(mounted = true): void {
    file('etc/meridian/member.env', 'MEMBER=test-orders-0\nJOURNAL=orders\n');
    file('etc/meridian/setup.env', 'UNIT=meridian-journal@orders.service\n');
    program('mountpoint', mounted ? 'exit 0' : 'exit 1');
    for (const name of ['runuser', 'systemctl', 'install']) program(name);
  }
  const decide = (...words: string[]) => run('member/files/first-start.sh', {}, ...words);
  const said = (): string[] => calls().map((call) => call.split(' ')[0] ?? '');

  it('formats the log of a new journal and starts its replica', () => {
    host();
    expect(decide('new').status).toBe(0);
    expect(said()).toEqual(['mountpoint', 'runuser', 'systemctl']);
    expect(calls()[1]).toContain('format --config /etc/meridian/journal-orders.yaml');
    expect(calls()[2]).toBe('systemctl start meridian-journal@orders.service');
  });

  it('formats nothing where a log was lost: the replica recovers', () => {
    host();
    expect(decide('lost').status).toBe(0);
    expect(said()).toEqual(['mountpoint', 'install', 'systemctl']);
  });

  it.each([['new'], ['lost']])('refuses %s where a log is', (word) => {
    host();
    mkdirSync(join(root, 'var/lib/meridian/orders'), { recursive: true });
    expect(decide(word).status).toBe(1);
    expect(said()).toEqual(['mountpoint']);
  });

  it('does nothing before the volume is mounted, nor without a decision', () => {
    host(false);
    expect(decide('new').status).toBe(1);
    host();
    expect(decide().status).toBe(64);
    expect(said()).toEqual(['mountpoint', 'mountpoint']);
  });
});

describe('reporting', () => {
  it('tells of several values the smallest or the largest, and only what was asked for', () => {
    file('etc/meridian/reported-metrics', 'meridian_a min\nmeridian_b max\nmeridian_gone max\n');
    program(
      'curl',
      `printf '# TYPE meridian_a gauge\\nmeridian_a{peer="1"} 1\\nmeridian_a{peer="2"} 0\\nmeridian_b 0.25\\nmeridian_c 9\\n'`,
    );
    program('aws');
    expect(run('host/files/report-metrics.sh', { HOST_GROUP: 'group' })).toMatchObject({
      status: 0,
    });
    const sent = /--metric-data (.*)$/m.exec(calls().join('\n'))?.[1] ?? '[]';
    const dimensions = [{ Name: 'AutoScalingGroupName', Value: 'group' }];
    const data = JSON.parse(sent) as { MetricName: string }[];
    data.sort((one, other) => one.MetricName.localeCompare(other.MetricName));
    expect(data).toEqual([
      { MetricName: 'meridian_a', Value: 0, Dimensions: dimensions },
      { MetricName: 'meridian_b', Value: 0.25, Dimensions: dimensions },
    ]);
  });

  it('computes the error bound of the clock, and none for one that is not synchronised', () => {
    const tracking = (leap: string): string =>
      `A9FEA97B,169.254.169.123,4,1700000000.0,-0.000020,0.00001,0.00002,-3.1,0.0,0.01,0.000300,0.000100,16.1,${leap}`;
    program('aws');
    program('chronyc', `echo '${tracking('Normal')}'`);
    expect(run('member/files/clock-error.sh', { HOST_GROUP: 'group' }).status).toBe(0);
    expect(calls().join('\n')).toContain('--value 0.270 ');
    rmSync(join(root, 'calls'));
    program('chronyc', `echo '${tracking('Not synchronised')}'`);
    expect(run('member/files/clock-error.sh', { HOST_GROUP: 'group' }).status).not.toBe(0);
    expect(calls().join('\n')).not.toContain('put-metric-data');
  });
});

describe("fetching a database's secret", () => {
  it('makes a connection string that only root reads, whatever is in the password', () => {
    file(
      'etc/meridian/postgres.env',
      'AWS_REGION=eu-west-1\nPOSTGRES_HOST=db.example.com\nPOSTGRES_PORT=5432\nPOSTGRES_DATABASE=shop\nPOSTGRES_SECRET_ARN=arn\n',
    );
    const password = `a/b@c:d e$(id)'%`;
    file('secret.json', JSON.stringify({ username: 'meridian', password }));
    program('aws', 'cat "$MERIDIAN_ROOT/secret.json"');
    expect(run('sidecar/files/fetch-secret.sh')).toMatchObject({ status: 0, stderr: '' });
    const path = join(root, 'run/meridian/sidecar.env');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const url = /^MERIDIAN_POSTGRES=(.*)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? '';
    expect(decodeURIComponent(new URL(url).password)).toBe(password);
    expect(new URL(url).searchParams.get('sslmode')).toBe('verify-full');
  });
});

describe('unwrapping the keys of the archives', () => {
  const SECRETS = [Buffer.alloc(32, 0xfb), Buffer.alloc(32, 0x3e)];
  const fetch = () =>
    run('host/files/archive-keys.sh', {
      AWS_REGION: 'eu-west-1',
      ARCHIVE_KEYS_SECRET: 'meridian/prod/archive-keys',
      ARCHIVE_KEYS_CONTEXT: 'meridian:archive=prod',
      RUNTIME_DIRECTORY: join(root, 'run'),
    });
  const path = (): string => join(root, 'run/keys');

  /** `kms decrypt` knows the second ciphertext only if `unwraps`. */
  function aws(unwraps = true): void {
    mkdirSync(join(root, 'run'), { recursive: true });
    file('wrapped', '2027 AQID/+==\n\n2026 BQYH\n');
    const [first = '', second = ''] = SECRETS.map((secret) => secret.toString('base64'));
    program(
      'aws',
      `case "$*" in
        *get-secret-value*) cat "$MERIDIAN_ROOT/wrapped" ;;
        *decrypt*'--ciphertext-blob AQID/+== '*) echo '${first}' ;;
        *decrypt*'--ciphertext-blob BQYH '*) ${unwraps ? `echo '${second}'` : 'exit 254'} ;;
      esac`,
    );
  }

  it('makes a file that the archive takes and only the service reads, and asks for what is of this cluster', () => {
    aws();
    expect(fetch()).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    const keys = parseSealingKeys(readFileSync(path(), 'utf8'), path());
    expect(keys.map(({ id }) => id)).toEqual(['2027', '2026']);
    expect(keys.map(({ secret }) => Buffer.from(secret))).toEqual(SECRETS);
    expect(calls()[0]).toContain('--secret-id meridian/prod/archive-keys');
    for (const call of calls().slice(1)) {
      expect(call).toContain('--encryption-context meridian:archive=prod');
    }
  });

  it('without all of them ends before the service starts, or leaves those of the last start', () => {
    aws(false);
    const { status, stderr } = fetch();
    expect(status).toBe(1);
    expect(stderr).toContain('could not be fetched from meridian/prod/archive-keys');
    expect(readdirSync(join(root, 'run'))).toEqual([]);
    aws();
    expect(fetch().status).toBe(0);
    const before = readFileSync(path(), 'utf8');
    aws(false);
    expect(fetch()).toMatchObject({ status: 0, stderr: expect.stringContaining('stay') as string });
    expect(readFileSync(path(), 'utf8')).toBe(before);
    expect(readdirSync(join(root, 'run'))).toEqual(['keys']);
  });
});

describe('fetching the certificates', () => {
  const fetch = () =>
    run('host/files/certificates.sh', {
      AWS_REGION: 'eu-west-1',
      CERTIFICATE_SECRET: 'meridian/c/h/tls',
    });
  const secret = (key: string): void => {
    file('secret.json', JSON.stringify({ ca: 'CA\n', certificate: 'LEAF\n', key }));
  };

  it('writes them for the service alone, again only when they have changed', () => {
    secret('KEY 1\n');
    program('aws', 'cat "$MERIDIAN_ROOT/secret.json"');
    program('chown');
    expect(fetch()).toMatchObject({ status: 0, stderr: '' });
    const path = (name: string): string => join(root, 'etc/meridian/tls', name);
    expect(readdirSync(path('.')).sort()).toEqual(['ca.pem', 'certificate.pem', 'key.pem']);
    expect(statSync(path('key.pem')).mode & 0o777).toBe(0o600);
    expect(calls()).toContainEqual(
      expect.stringMatching(/^chown meridian:meridian .*key\.pem\.new/),
    );
    expect(calls()[0]).toContain('--secret-id meridian/c/h/tls');
    const before = statSync(path('ca.pem')).ino;
    secret('KEY 2\n');
    expect(fetch().status).toBe(0);
    expect(readFileSync(path('key.pem'), 'utf8')).toContain('KEY 2');
    expect(statSync(path('ca.pem')).ino).toBe(before);
  });

  it('leaves those that are there when a part is missing', () => {
    secret('KEY\n');
    program('aws', 'cat "$MERIDIAN_ROOT/secret.json"');
    program('chown');
    expect(fetch().status).toBe(0);
    file('secret.json', JSON.stringify({ ca: 'OTHER', key: 'OTHER' }));
    expect(fetch().status).not.toBe(0);
    expect(readFileSync(join(root, 'etc/meridian/tls/key.pem'), 'utf8')).toContain('KEY');
  });
});
