/** Every call of every service, with every role: the protobuf says which calls there are. */
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { CrossbarService } from '../gen/meridian/crossbar/v1/crossbar_pb.ts';
import { JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import { StreamService } from '../gen/meridian/journal/v1/streams_pb.ts';
import { PeerService } from '../gen/meridian/peer/v1/peer_pb.ts';
import { SidecarService } from '../gen/meridian/sidecar/v1/sidecar_pb.ts';
import { Access } from './access.ts';
import { ROLES, identityFromUri } from './identity.ts';
import type { Role } from './identity.ts';
import { RULES, streamsOf } from './rules.ts';

const SERVICES: readonly DescService[] = [
  JournalService,
  StreamService,
  CrossbarService,
  PeerService,
  SidecarService,
];
const methods: readonly DescMethod[] = SERVICES.flatMap((service) => service.methods);
const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

const access = new Access({
  cluster: 'c',
  grants: [
    { principal: 'sidecar', operations: ['append', 'fence', 'read', 'tail'], streams: ['pg.*'] },
    { principal: 'applier', operations: ['read', 'tail'], streams: ['pg.*'] },
    { principal: 'client', operations: ['append'], streams: ['web'] },
  ],
  secrets: [],
  revoked: [],
  operationsPerSecond: 0,
  bytesPerSecond: 0,
  onDenied: () => undefined,
});

function admits(path: string, role: Role | null): boolean {
  const names = role === 'replica' ? 'one/eu' : 'x';
  const identity =
    role === null ? null : identityFromUri(`spiffe://test/cluster/c/${role}/${names}`);
  try {
    access.admit(path, { address: '', identity, refusal: null }, null, true);
    return true;
  } catch (error) {
    if (error instanceof MeridianError) return false;
    throw error;
  }
}

/** Written out, and not made of the rules: R C S A L D for the roles in their order. */
const MATRIX: Readonly<Record<string, string>> = {
  'JournalService.Append': '..s.cA',
  'JournalService.Read': '.csa.A',
  'JournalService.CheckTail': '.csa.A',
  'JournalService.Heartbeat': '.csa.A',
  'JournalService.GetWriter': '..s.cA',
  'JournalService.Status': '.c...A',
  'JournalService.Locate': '.csa.A',
  'StreamService.CreateStream': '.....A',
  'StreamService.ConfigureStream': '.....A',
  'StreamService.DeleteStream': '.....A',
  'StreamService.DescribeStream': '.csa.A',
  'StreamService.ListStreams': '.csa.A',
  'StreamService.LocalTail': '.csa.A',
  'StreamService.ResolveAppend': '..s.cA',
  'StreamService.Fence': '..s..A',
  'StreamService.Trim': '.....A',
  'StreamService.AcquireLease': '..s..A',
  'StreamService.RenewLease': '..s..A',
  'StreamService.ReleaseLease': '..s..A',
  'CrossbarService.Subscribe': '.csa.A',
  'CrossbarService.Heartbeat': '.csa.A',
  'CrossbarService.WaitFor': '.csa.A',
  'CrossbarService.Status': '.c...A',
  'PeerService.Link': 'r.....',
  'PeerService.FetchCheckpoint': 'r.....',
  'PeerService.View': 'r.....',
  'PeerService.FetchEntries': 'r.....',
  'PeerService.CompareRelease': 'r.....',
  'SidecarService.Wait': '.csa.A',
  'SidecarService.Status': '.c...A',
  'SidecarService.Promote': '.....A',
  'SidecarService.StepDown': '.....A',
  'SidecarService.Rejoin': '.....A',
};

describe.each(methods.map((method) => ({ method, name: `${method.parent.name}.${method.name}` })))(
  '$name',
  ({ method, name }) => {
    const path = pathOf(method);

    it('has a rule', () => {
      expect(RULES[path], `a rule for ${path} in rules.ts`).toBeDefined();
      expect(RULES[path]?.operation).not.toMatch(/open|any/);
    });

    it('is for the roles that it is meant for, and for nobody without a name', () => {
      const letters = ['r', 'c', 's', 'a', 'c', 'A'];
      const row = ROLES.map((role, at) => (admits(path, role) ? letters[at] : '.')).join('');
      expect(row).toBe(MATRIX[name]);
      expect(admits(path, null)).toBe(false);
    });

    it('finds the streams of its request where the rule looks for them', () => {
      const rule = RULES[path];
      if (rule === undefined) throw new Error('no rule');
      const fields = new Map(method.input.fields.map((field) => [field.localName, field]));
      const named = ['stream', 'streams', 'prefix'].filter((field) => fields.has(field));
      const { scope } = rule;
      if (scope === 'none') expect(named, 'a request that names streams').toEqual([]);
      else if (scope === 'append') expect(method.input.name).toBe('AppendRequest');
      else if (scope === 'record') {
        const what = { case: 'record', value: { stream: 's' } };
        expect(streamsOf(rule, { what })).toEqual(['s']);
        expect(streamsOf(rule, { what: { case: undefined } })).toEqual([null]);
        expect(fields.get('record')?.oneof?.localName).toBe('what');
      } else expect(named).toEqual([scope]);
    });
  },
);

describe('the rules', () => {
  it('are for calls that there are', () => {
    const known = new Set(methods.map(pathOf));
    const others = Object.keys(RULES).filter((path) => !known.has(path));
    expect(others.filter((path) => !path.startsWith('/grpc.'))).toEqual([]);
    expect(Object.keys(MATRIX)).toHaveLength(methods.length);
  });

  it('leave to anybody but health, and reflection to whoever has a name', () => {
    const paths = Object.keys(RULES).filter((path) => path.startsWith('/grpc.'));
    for (const path of paths) {
      expect(admits(path, null), path).toBe(path.startsWith('/grpc.health.'));
      expect(admits(path, 'client'), path).toBe(true);
    }
  });
});
