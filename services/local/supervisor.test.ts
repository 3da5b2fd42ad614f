import { describe, expect, it, vi } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { Supervisor } from './supervisor.ts';
import type { Member } from './supervisor.ts';

/** A member that records what happens to it and ends when told. */
class Fake implements Member {
  readonly name: string;
  pid: number | null = null;
  readonly log: string[];
  failures = 0;
  #end: (how: string) => void = () => undefined;
  #ended: Promise<string> = Promise.resolve('');

  constructor(name: string, log: string[]) {
    this.name = name;
    this.log = log;
  }

  async start(): Promise<void> {
    await Promise.resolve();
    if (this.failures > 0) {
      this.failures--;
      throw new MeridianError('UNAVAILABLE', `${this.name} ended (exit code 1)`);
    }
    this.log.push(`start ${this.name}`);
    this.pid = 1;
    this.#ended = new Promise((resolve) => (this.#end = resolve));
  }

  stop(): Promise<void> {
    if (this.pid !== null) this.log.push(`stop ${this.name}`);
    this.end('exit code 0');
    return Promise.resolve();
  }

  kill(): Promise<void> {
    this.log.push(`kill ${this.name}`);
    this.end('signal SIGKILL');
    return Promise.resolve();
  }

  ended(): Promise<string> {
    return this.#ended;
  }

  end(how: string): void {
    this.pid = null;
    this.#end(how);
  }
}

function cluster(): {
  log: string[];
  events: string[];
  journal: Fake;
  postgres: Fake;
  sidecar: Fake;
  supervisor: Supervisor;
} {
  const log: string[] = [];
  const events: string[] = [];
  const [journal, postgres, sidecar] = [
    new Fake('journal', log),
    new Fake('postgres', log),
    new Fake('sidecar', log),
  ];
  const supervisor = new Supervisor({
    tiers: [[journal, postgres], [sidecar]],
    onEvent: (text) => events.push(text),
    pauseMinMs: 1,
    pauseMaxMs: 4,
  });
  return { log, events, journal, postgres, sidecar, supervisor };
}

describe('the supervisor', () => {
  it('starts what others need first, and stops it last', async () => {
    const { log, supervisor } = cluster();
    await supervisor.start();
    await supervisor.stop();
    expect(log).toEqual([
      'start journal',
      'start postgres',
      'start sidecar',
      'stop sidecar',
      'stop journal',
      'stop postgres',
    ]);
  });

  it('stops everything again when one cannot start, and passes its error on', async () => {
    const { log, postgres, supervisor } = cluster();
    postgres.failures = 1;
    await expect(supervisor.start()).rejects.toThrow('postgres ended (exit code 1)');
    expect(log).toEqual(['start journal', 'stop journal']);
  });

  it('starts one again that ended by itself, and says so', async () => {
    const { log, events, journal, supervisor } = cluster();
    await supervisor.start();
    journal.end('signal SIGSEGV');
    await vi.waitFor(() => {
      expect(log.filter((line) => line === 'start journal')).toHaveLength(2);
    });
    expect(events).toEqual(['journal ended (signal SIGSEGV); starting it again in 0.001 s']);
    await supervisor.stop();
  });

  it('keeps trying one that does not come up, with longer pauses', async () => {
    const { events, journal, supervisor } = cluster();
    await supervisor.start();
    journal.failures = 4;
    journal.end('exit code 1');
    await vi.waitFor(() => {
      expect(journal.pid).toBe(1);
    });
    expect(events.map((event) => /again in (.*) s$/.exec(event)?.[1])).toEqual([
      '0.001',
      '0.002',
      '0.004',
      '0.004',
      '0.004',
    ]);
    await supervisor.stop();
  });

  it('leaves one down that was killed on purpose, until it is asked back', async () => {
    const { log, events, journal, supervisor } = cluster();
    await supervisor.start();
    await supervisor.kill('journal');
    await Promise.resolve();
    expect(journal.pid).toBeNull();
    await supervisor.revive('journal');
    expect(journal.pid).toBe(1);
    expect(log.slice(3)).toEqual(['kill journal', 'start journal']);
    expect(events).toEqual([]);
    await supervisor.stop();
  });

  it('starts nothing any more once it is stopping', async () => {
    const { log, journal, supervisor } = cluster();
    await supervisor.start();
    journal.end('exit code 1');
    await supervisor.stop();
    const until = log.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(log).toHaveLength(until);
  });

  it('kills one that cannot be stopped', async () => {
    const { log, events, sidecar, supervisor } = cluster();
    await supervisor.start();
    sidecar.stop = () => Promise.reject(new Error('busy'));
    await supervisor.stop();
    expect(events).toEqual(['sidecar did not stop (busy); killing it']);
    expect(log).toContain('kill sidecar');
  });

  it('refuses a name it does not have', async () => {
    const { supervisor } = cluster();
    await expect(supervisor.kill('nobody')).rejects.toThrow('no member is called nobody');
  });
});
