import { describe, expect, it } from 'vitest';
import { adviceFor, findingsOf } from './findings.ts';
import type { Examined } from './findings.ts';
import type { InstanceView } from './status-view.ts';

const DAY_MS = 86_400_000;
const healthy = { cluster: 'c', instance: 'i', time: '', replicas: [], hears: {} };

function find(more: Partial<Examined> = {}): string[] {
  const view = healthy as unknown as InstanceView;
  const examined = { view, certificates: null, sidecars: [], now: 0, ...more };
  return findingsOf(examined).map(({ problem, advice }) => {
    expect(advice).not.toBe('');
    return problem;
  });
}

describe('a doctor', () => {
  it('finds nothing where all is well', () => {
    const certificates = [
      { of: 'own', expiresAt: 30 * DAY_MS },
      { of: 'a', expiresAt: null },
    ];
    const sidecars = [
      { address: 's:1', error: null, roles: [{ role: 'ship', state: 'streaming', error: '' }] },
    ];
    expect(find({ certificates, sidecars })).toEqual([]);
  });

  it('tells certificates that expire within a week, whosever they are', () => {
    const certificates = [
      { of: 'own', expiresAt: 2 * DAY_MS },
      { of: 'eu', expiresAt: -1 },
      { of: 'us', expiresAt: 8 * DAY_MS },
    ];
    expect(find({ certificates })).toEqual([
      expect.stringMatching(/^the certificate of this client expires in 2/),
      'the certificate of eu has expired',
    ]);
  });

  it('tells roles of sidecars that do not work, and sidecars that do not answer', () => {
    const roles = [
      { role: 'ship', state: 'waiting', error: 'FENCED: another' },
      { role: 'apply', state: 'applying', error: '' },
    ];
    const sidecars = [
      { address: 's:1', roles, error: null },
      { address: 's:2', roles: [], error: 'UNAVAILABLE: refused' },
    ];
    expect(find({ sidecars })).toEqual([
      'the sidecar at s:1: ship is waiting: FENCED: another',
      'the sidecar at s:2 does not answer: UNAVAILABLE: refused',
    ]);
  });

  it('tells different versions', () => {
    const replica = (region: string, version: string): object => ({
      region,
      state: {
        version,
        voting: true,
        clockSafe: true,
        backlogEntries: 0,
        watermarkLagMs: 0,
        disk: {},
        damage: { open: [] },
        divergences: [],
        lanes: [],
      },
    });
    const view = { ...healthy, replicas: [replica('a', '1.0'), replica('b', '1.1')] };
    expect(find({ view: view as unknown as InstanceView })).toEqual([
      'the replicas are of different versions: a 1.0, b 1.1',
    ]);
  });

  it.each([
    ['eu does not answer: UNAVAILABLE: the server is another: the certificate names', /certs show/],
    ['eu does not answer: UNAVAILABLE: no connection', /process up/],
    ['the clock of eu is out of bounds: it takes no appends', /chronyc/],
    ['the disk of eu is nearly full: 1 MiB free', /volume/],
    ['eu does not hear us directly', /forwards/],
    ['lane 0 of eu is sealed by us', /returns/],
    ['eu misses 20000 entries of the lane of us', /catches up/],
  ])('says what to do about: %s', (problem, advice) => {
    expect(adviceFor(problem)).toMatch(advice);
  });
});
