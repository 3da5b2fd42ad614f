/** The examples, applied to a stand-in for AWS: what comes out is looked at as a whole. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { ROOT } from '../layout/source-files.ts';
import { documentedGrant } from '../postgres/documented-grant.ts';
import { deploy } from './deployment.ts';
import type { Deployment, Host, Resource } from './deployment.ts';
import { Workspace } from './terraform.ts';

const MINUTES_5 = 300_000;
const SHA256 = 'ab'.repeat(32);
const EXAMPLES = {
  'examples/minimal': {
    regions: ['us-east-1', 'us-east-2', 'us-west-2'],
    witness: null,
    sealed: false,
    variables: {
      artifact: `{url="https://releases.example.com/meridian-1.2.3.tar.gz",sha256="${SHA256}"}`,
    },
  },
  'examples/complete': {
    regions: ['eu-west-1', 'us-east-1', 'eu-north-1'],
    witness: 'eu-north-1',
    sealed: true,
    variables: {
      release_bucket_name: 'example-meridian-releases',
      release: `{version="1.2.3",sha256="${SHA256}"}`,
    },
  },
} as const;

/** A rule may name public addresses only to reach them: packages, SSM, CloudWatch, by HTTPS. */
const PRIVATE = /^(10\.|172\.(1[6-9]|2\d|3[01])\.|192\.168\.)/;
const JANITOR = '/etc/meridian/janitor.yaml';
/** EC2 takes this much user data. */
const USER_DATA_BYTES_MAX = 16 * 1024;

let workspace: Workspace;
let scratch: string;
const deployments = new Map<string, Deployment>();

beforeAll(async () => {
  workspace = await Workspace.open();
  scratch = mkdtempSync(join(tmpdir(), 'meridian-configuration-'));
  for (const [example, { variables }] of Object.entries(EXAMPLES)) {
    deployments.set(example, await deploy(workspace, example, variables));
  }
}, MINUTES_5);

afterAll(() => {
  workspace.close();
  rmSync(scratch, { recursive: true, force: true });
});

interface Denial {
  readonly Sid: string;
  readonly Condition: unknown;
}

/** What is looked at of a service's. */
interface Configuration {
  readonly roles?: readonly string[];
  readonly stream?: string;
  readonly dataDirectory?: string;
  readonly access: {
    readonly grants: readonly {
      readonly principal: string;
      readonly operations: readonly string[];
      readonly streams: readonly string[];
    }[];
  };
}

interface Checked {
  readonly status: number | null;
  readonly output: string;
}

/** The verdict of the service itself, as built. */
function checkConfiguration(path: string, content: string): Checked {
  const service = /\/(journal|janitor|crossbar|sidecar)[^/]*\.yaml$/.exec(path)?.[1] ?? 'none';
  const main = service === 'janitor' ? 'journal/janitor-service-main.js' : `${service}/main.js`;
  const program = join(ROOT, 'dist/services', main);
  expect(existsSync(program), `${program} is there: npm run build`).toBe(true);
  const file = join(scratch, basename(path));
  writeFileSync(file, content);
  const secret = { MERIDIAN_POSTGRES: 'postgres://user:secret@db.example.com:5432/shop' };
  const ran = spawnSync(process.execPath, [program, '--config', file, '--check-config'], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], ...(service === 'sidecar' ? secret : {}) },
  });
  return { status: ran.status, output: ran.stdout + ran.stderr };
}

function configurationsOf(host: Host): [path: string, content: string][] {
  return [...host.files]
    .filter(([path]) => path.startsWith('/etc/meridian/') && path.endsWith('.yaml'))
    .map(([path, { content }]) => [path, content]);
}

function tag(resource: Resource | undefined, name: string): unknown {
  return (resource?.values['tags'] as Record<string, unknown> | undefined)?.[name];
}

/** `KEY=value` lines. */
function variable(host: Host, path: string, name: string): string {
  const content = host.files.get(path)?.content ?? '';
  return new RegExp(`^${name}=(.*)$`, 'm').exec(content)?.[1] ?? '';
}

describe.each(Object.entries(EXAMPLES))('%s', (example, given) => {
  const { regions, witness, sealed, variables } = given;
  const deployed = (): Deployment => {
    const found = deployments.get(example);
    if (found === undefined) throw new Error(`${example} was not deployed`);
    return found;
  };

  it('gives every service a configuration that the service accepts', () => {
    const hosts = deployed().hosts();
    expect(hosts.length).toBeGreaterThan(3);
    for (const host of hosts) {
      const configurations = configurationsOf(host);
      expect(configurations, host.name).toHaveLength(1);
      for (const [path, content] of configurations) {
        expect(checkConfiguration(path, content), `${host.name} ${path}`).toEqual({
          status: 0,
          output: 'ok\n',
        });
      }
    }
  });

  it('grants a sidecar that ships what a sidecar needs, on its own stream and no other', () => {
    const configurations = deployed().hosts().flatMap(configurationsOf);
    const parsed = configurations.map(([, content]) => parse(content) as Configuration);
    const shipping = parsed.filter(({ roles = [] }) => roles.includes('ship'));
    const members = parsed.filter(({ dataDirectory }) => dataDirectory !== undefined);
    for (const { stream } of shipping) {
      for (const { access } of members) {
        const grants = access.grants.filter(({ streams }) => streams.includes(stream ?? ''));
        const operations = grants
          .filter(({ principal }) => principal.startsWith('sidecar/'))
          .map((grant) => [...grant.operations].sort());
        expect(operations).toContainEqual([...documentedGrant()].sort());
        expect(grants.every(({ streams }) => streams.length === 1)).toBe(true);
      }
    }
    expect(shipping.length > 0).toBe(example === 'examples/complete');
  });

  it('serves nothing in the clear: without its certificates every configuration is refused', () => {
    for (const [path, content] of deployed().hosts().flatMap(configurationsOf)) {
      // It listens on loopback only.
      if (path === JANITOR) continue;
      const without = stringify({ ...(parse(content) as object), tls: {}, access: {} });
      const { status, output } = checkConfiguration(path, without);
      expect(status, path).toBe(78);
      expect(output).toContain('beyond loopback nothing is served in the clear');
    }
  });

  it('with a mistyped setting gives a configuration that the service refuses', () => {
    const member = deployed()
      .hosts()
      .flatMap(configurationsOf)
      .find(([path]) => path.includes('journal'));
    const [path = '', content = ''] = member ?? [];
    const { status, output } = checkConfiguration(path, content.replace('peerListen', 'peerListn'));
    expect(status).toBe(78);
    expect(output).toContain('peerListen');
  });

  it('tells every member the fixed addresses of the other two', () => {
    const addresses = new Map(
      deployed()
        .ofType('aws_network_interface')
        .map((it) => [tag(it, 'meridian:member'), (it.values['private_ips'] as string[])[0]]),
    );
    const members = deployed()
      .hosts()
      .filter((host) => host.files.has('/etc/meridian/member.env'));
    expect(members.length).toBe(addresses.size);
    for (const host of members) {
      const content = configurationsOf(host)[0]?.[1] ?? '';
      const config = parse(content) as {
        cluster: string;
        instance: string;
        replica: number;
        region: string;
        peers: { replica: number; region: string; address: string }[];
      };
      const id = (replica: number): string =>
        `${config.cluster}-${config.instance}-${String(replica)}`;
      expect(variable(host, '/etc/meridian/member.env', 'MEMBER')).toBe(id(config.replica));
      expect(regions[config.replica]).toBe(host.region);
      expect(config.region).toBe(host.region);
      for (const peer of config.peers) {
        expect(peer.region).toBe(regions[peer.replica]);
        expect(peer.address).toBe(`${addresses.get(id(peer.replica)) ?? ''}:7400`);
      }
    }
  });

  it('has exactly one volume for each member, in the zone of its host, and nothing else tagged so', () => {
    const volumes = deployed().ofType('aws_ebs_volume');
    const interfaces = deployed().ofType('aws_network_interface');
    expect(new Set(volumes.map((it) => tag(it, 'meridian:member'))).size).toBe(volumes.length);
    expect(volumes.map((it) => tag(it, 'meridian:member')).sort()).toEqual(
      interfaces.map((it) => tag(it, 'meridian:member')).sort(),
    );
    const roots = deployed()
      .ofType('aws_launch_template')
      .flatMap((it) => it.values['tag_specifications'] as Record<string, unknown>[])
      .filter((it) => it['resource_type'] === 'volume');
    for (const root of roots) expect(root['tags']).not.toHaveProperty('meridian:member');
  });

  it('puts every regional resource into one of the three regions, by its own region argument', () => {
    const regional = deployed().resources.filter((it) => 'region' in it.values);
    expect(regional.length).toBeGreaterThan(100);
    for (const { address, values } of regional) {
      expect(regions as readonly unknown[], address).toContain(values['region']);
    }
    const members = regional.filter((it) => it.type === 'aws_ebs_volume');
    for (const region of regions) {
      expect(members.filter((it) => it.values['region'] === region)).toHaveLength(
        members.length / 3,
      );
    }
  });

  it('lets nothing public in, and out only by HTTPS', () => {
    const rules = deployed().resources.filter((it) => /security_group_\w+_rule$/.test(it.type));
    expect(rules.length).toBeGreaterThan(10);
    for (const { address, type, values } of rules) {
      const from = values['cidr_ipv4'];
      expect(values['cidr_ipv6'] ?? null, address).toBeNull();
      if (from === null) expect(values['referenced_security_group_id'], address).toBeTruthy();
      else if (type.includes('ingress') || values['from_port'] !== 443) {
        expect(from, address).toMatch(PRIVATE);
      }
      expect(values['ip_protocol'], address).toBe('tcp');
      expect(values['from_port'], address).toBe(values['to_port']);
    }
    for (const { address, values } of deployed().ofType('aws_security_group')) {
      expect([values['ingress'] ?? [], values['egress'] ?? []], address).toEqual([[], []]);
    }
    for (const { address, values } of deployed().ofType('aws_lb')) {
      expect(values['internal'], address).toBe(true);
    }
  });

  it('encrypts every disk, log and database with a key of its own region', () => {
    const keys = new Map(
      ['aws_kms_key', 'aws_kms_replica_key'].flatMap((type) =>
        deployed()
          .ofType(type)
          .map((it) => [it.values['region'], it.values['arn']] as const),
      ),
    );
    expect([...keys.keys()].sort()).toEqual([...regions].sort());
    const encrypted = [
      ...deployed().ofType('aws_ebs_volume'),
      ...deployed().ofType('aws_cloudwatch_log_group'),
      ...deployed().ofType('aws_db_instance'),
    ];
    for (const { address, values } of encrypted) {
      expect(values['kms_key_id'], address).toBe(keys.get(values['region']));
      expect(values['encrypted'] ?? values['storage_encrypted'] ?? true, address).toBe(true);
    }
  });

  it('gives no host a right to everything', () => {
    const policies = deployed().ofType('aws_iam_role_policy');
    for (const { address, values } of policies) {
      const { Statement } = JSON.parse(String(values['policy'])) as {
        Statement: {
          Sid: string;
          Action: string | string[];
          Resource: unknown;
          Condition?: unknown;
        }[];
      };
      for (const { Sid, Action, Resource, Condition } of Statement) {
        const actions = [Action].flat();
        expect(actions.join(), address).not.toContain('*');
        const onlyLooks = actions.every((action) => action.startsWith('ec2:Describe'));
        expect(Resource !== '*' || onlyLooks || Condition !== undefined, `${address} ${Sid}`).toBe(
          true,
        );
      }
    }
  });

  it('archives every member in the bucket of its region, where it may delete nothing', () => {
    const buckets = deployed()
      .ofType('aws_s3_bucket')
      .filter(({ values }) => String(values['bucket']).includes('-archive-'));
    const serving = regions.filter((region) => region !== witness);
    expect(buckets.map(({ values }) => values['region']).sort()).toEqual([...serving].sort());
    const members = deployed()
      .hosts()
      .filter((host) => host.files.has('/etc/meridian/member.env') && host.region !== witness);
    for (const host of members) {
      const { archive, instance } = parse(configurationsOf(host)[0]?.[1] ?? '') as {
        archive: { url: string; region: string };
        instance: string;
      };
      const bucket = buckets.find(({ values }) => values['region'] === host.region);
      expect(archive.region).toBe(host.region);
      expect(archive.url).toBe(`s3://${String(bucket?.values['bucket'])}/${instance}`);
    }
    const policies = deployed()
      .ofType('aws_iam_role_policy')
      .filter(({ address }) => address.endsWith('["archive"]'));
    expect(policies).toHaveLength(members.length);
    for (const { values } of policies) expect(values['policy']).not.toContain('Delete');
  });

  it('lets nobody delete in the archives but the host of the janitor, where there is one', () => {
    const [host, ...others] = deployed()
      .hosts()
      .filter(({ files }) => files.has(JANITOR));
    expect(others).toEqual([]);
    const deleting = deployed()
      .ofType('aws_iam_role_policy')
      .filter(({ values }) => String(values['policy']).includes('s3:Delete'));
    const denied = deployed()
      .ofType('aws_s3_bucket_policy')
      .filter(({ address }) => address.includes('module.archive['))
      .map(({ values }) => JSON.parse(String(values['policy'])) as { Statement: Denial[] })
      .map(({ Statement }) => Statement.filter(({ Sid }) => Sid === 'DeletedByJanitorOnly'));
    const serving = regions.filter((region) => region !== witness);
    expect(denied).toHaveLength(serving.length);
    if (host === undefined) {
      expect(deleting).toEqual([]);
      expect(denied.flat()).toEqual([]);
      return;
    }
    const roles = deployed().ofType('aws_iam_role');
    const who = deleting.map(({ values: { role } }) =>
      roles.find((it) => it.values['id'] === role),
    );
    expect(who.map((role) => role?.values['name'])).toEqual([host.name]);
    for (const { Condition } of denied.flat()) {
      expect(JSON.stringify(Condition)).toMatch(new RegExp(`:role/${host.name}"]}}$`));
    }
    expect(denied.flat()).toHaveLength(serving.length);
    const { archives } = parse(host.files.get(JANITOR)?.content ?? '') as { archives: object[] };
    const written = deployed()
      .hosts()
      .filter(({ files, region }) => files.has('/etc/meridian/member.env') && region !== witness)
      .map((member) => parse(configurationsOf(member)[0]?.[1] ?? '') as { archive: object });
    const sorted = (list: readonly object[]): string[] =>
      list.map((it) => JSON.stringify(it)).sort();
    expect(sorted(archives)).toEqual(sorted(written.map(({ archive }) => archive)));
    expect([...host.files.keys()].filter((path) => path.includes('certificates'))).toEqual([]);
  });

  it('unwraps the keys of sealed archives before the start, for whoever has to do with them and nobody else', () => {
    for (const host of deployed().hosts()) {
      const content = configurationsOf(host)[0]?.[1] ?? '';
      const { cluster, archive, archives } = parse(content) as {
        cluster: string;
        archive?: { keysFile?: string };
        archives?: { keysFile?: string }[];
      };
      const places = [archive ?? [], archives ?? []].flat();
      const needsKeys = sealed && places.length > 0;
      const keysFile = needsKeys ? '/run/meridian-archive/keys' : undefined;
      expect(places.filter((place) => place.keysFile !== keysFile)).toEqual([]);
      const script = '/usr/local/lib/meridian/archive-keys';
      const dropIn = [...host.files].find(([path]) => path.endsWith('.service.d/aws.conf'));
      const lines = dropIn?.[1].content.split('\n') ?? [];
      expect(lines.includes('RuntimeDirectory=meridian-archive'), host.name).toBe(needsKeys);
      expect(lines.includes(`ExecStartPre=${script}`), host.name).toBe(needsKeys);
      expect(host.files.get(script)?.mode, host.name).toBe(needsKeys ? '0755' : undefined);
      expect(variable(host, '/etc/meridian/setup.env', 'ARCHIVE_KEYS_CONTEXT')).toBe(
        `meridian:archive=${cluster}`,
      );
    }
  });

  it('keeps everything but the voting out of the witness region', () => {
    if (witness === null) {
      expect(deployed().ofType('aws_lb')).toHaveLength(3);
      return;
    }
    const there = deployed().resources.filter((it) => it.values['region'] === witness);
    expect(there.filter((it) => it.type === 'aws_ebs_volume').length).toBeGreaterThan(0);
    expect(there.filter((it) => it.type === 'aws_lb')).toEqual([]);
    const ports = there
      .filter((it) => it.type === 'aws_vpc_security_group_ingress_rule')
      .map((it) => it.values['from_port']);
    expect(new Set(ports)).toEqual(new Set([7400]));
    for (const host of deployed().hosts()) {
      if (!host.files.has('/etc/meridian/member.env')) continue;
      const member = parse(configurationsOf(host)[0]?.[1] ?? '') as Record<string, unknown>;
      const votesOnly = host.region === witness;
      expect([member['witness'] ?? false, 'archive' in member]).toEqual([votesOnly, !votesOnly]);
    }
  });

  it('starts units that a release brings', () => {
    for (const host of deployed().hosts()) {
      const unit = variable(host, '/etc/meridian/setup.env', 'UNIT');
      const file = unit.replace(/@[^.]+/, '@');
      const named = /^meridian-(\w+)/.exec(unit)?.[1] ?? '';
      const service = named === 'janitor' ? 'journal' : named;
      const text = readFileSync(join(ROOT, 'services', service, 'systemd', file), 'utf8');
      const name = /@([^.]+)/.exec(unit)?.[1] ?? '';
      const config = /--config (\S+)/.exec(text)?.[1]?.replace('%i', name) ?? '';
      expect(configurationsOf(host).map(([path]) => path)).toEqual([config]);
    }
  });

  it('raises alarms only on what is measured', () => {
    const hosts = deployed().hosts();
    const filters = deployed()
      .ofType('aws_cloudwatch_log_metric_filter')
      .flatMap((it) => it.values['metric_transformation'] as { name: string }[])
      .map(({ name }) => name);
    const documented = readFileSync(join(ROOT, 'libs/telemetry/METRICS.md'), 'utf8');
    const reported = hosts.flatMap((host) => {
      const lines = host.files.get('/etc/meridian/reported-metrics')?.content.trim() ?? '';
      return lines
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(' ')[0] ?? '');
    });
    for (const name of reported) expect(documented).toContain(`\`${name}\``);
    const own = deployed()
      .ofType('aws_cloudwatch_metric_alarm')
      .filter((it) => it.values['namespace'] === 'Meridian')
      .map((it) => String(it.values['metric_name']));
    const known = new Set([...filters, ...reported, 'disk_used_percent', 'ClockErrorBound']);
    expect(own.filter((name) => !known.has(name))).toEqual([]);
    expect(reported.filter((name) => !own.includes(name))).toEqual([]);
  });

  it('writes user data that EC2 takes', () => {
    for (const host of deployed().hosts()) {
      expect(host.userDataBytes, host.name).toBeLessThan(USER_DATA_BYTES_MAX);
    }
  });

  it('is settled: a second plan changes nothing', async () => {
    const given = Object.entries(variables).map(([name, value]) => `-var=${name}=${value}`);
    const again = await workspace.run(example, 'plan', '-no-color', '-detailed-exitcode', ...given);
    expect(again.ok, again.output).toBe(true);
  });
});
