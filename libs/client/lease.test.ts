import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { FakeRegions } from './fake-regions.ts';
import { connectJournal } from './journal.ts';
import type { Journal } from './journal.ts';
import type { HeldLease } from './lease.ts';

let fakes: FakeRegions;
let journal: Journal;

const grant = { lease: { holder: 'a', token: 3n, expiresAt: 1n } };
const unknown = (): MeridianError => new MeridianError('INDEFINITE', 'lost');

beforeEach(async () => {
  fakes = new FakeRegions();
  (await fakes.start()).close();
  const options = { cluster: 'test', instance: 'one', deadlineMs: 5_000, silenceMs: 2_000 };
  journal = connectJournal({ ...options, replicas: fakes.replicas });
});

afterEach(async () => {
  await journal.close({ drainMs: 0 });
  await fakes.stop();
});

const methods = (): string[] => fakes.streams.asked.map(({ method }) => method);

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function ended({ signal }: HeldLease): Promise<MeridianError> {
  return new Promise((resolve) => {
    const tell = (): void => {
      resolve(signal.reason as MeridianError);
    };
    if (signal.aborted) tell();
    else signal.addEventListener('abort', tell);
  });
}

describe('a lease that is held', () => {
  it('renews itself with its token, and is given back once', async () => {
    fakes.streams.answers.push(grant, grant, unknown(), grant, grant);
    const lease = await journal.holdLease('s', { holder: 'a', ttlMs: 900 });
    expect(lease).toMatchObject({ stream: 's', holder: 'a', token: 3, isHeld: true });
    await until(() => methods().length >= 4);
    expect(lease.isHeld).toBe(true);
    expect(fakes.streams.asked[1]).toMatchObject({
      method: 'renewLease',
      request: { stream: 's', holder: 'a', token: 3n, ttlMs: 900 },
    });
    fakes.streams.answers.splice(0, Infinity, { released: true });
    const [one, two] = await Promise.all([lease.release(), lease.release()]);
    expect([one, two]).toEqual([true, true]);
    expect(methods().filter((method) => method === 'releaseLease')).toHaveLength(1);
    expect(await ended(lease)).toMatchObject({ reason: 'LEASE_LOST' });
  });

  it('is lost at once when the journal says that another has it', async () => {
    fakes.streams.answers.push(grant, new MeridianError('LEASE_LOST', 'b has it'));
    const lease = await journal.holdLease('s', { holder: 'a', ttlMs: 1500 });
    expect(await ended(lease)).toMatchObject({ reason: 'LEASE_LOST', message: 'b has it' });
    expect(lease.isHeld).toBe(false);
  });

  it('is given up a while before it expires when no renewal is answered', async () => {
    const askedAt = performance.now();
    fakes.streams.answers.push(grant, ...Array.from({ length: 500 }, unknown));
    const ttlMs = 400;
    const lease = await journal.holdLease('s', { holder: 'a', ttlMs });
    expect(await ended(lease)).toMatchObject({ reason: 'DEADLINE' });
    // A tenth is left for whoever has to stop; a busy machine may take some of it.
    expect(performance.now() - askedAt).toBeGreaterThanOrEqual(ttlMs * 0.85);
    expect(methods().filter((method) => method === 'renewLease').length).toBeGreaterThan(1);
  });

  it('that took long to get is renewed before it is believed in', async () => {
    const ttlMs = 900;
    const late = new Promise<object>((resolve) => {
      setTimeout(() => {
        resolve(grant);
      }, ttlMs / 2);
    });
    fakes.streams.answers.push(late, grant, { released: true });
    const lease = await journal.holdLease('s', { holder: 'a', ttlMs });
    expect(methods()).toEqual(['acquireLease', 'renewLease']);
    await lease.release();
  });

  it('that another holds is not waited for', async () => {
    fakes.streams.answers.push(new MeridianError('LEASE_HELD', 'b holds it'));
    const held = journal.holdLease('s', { holder: 'a', ttlMs: 300 });
    await expect(held).rejects.toMatchObject({ reason: 'LEASE_HELD' });
  });
});
