/**
 * The log against a model that is a list: random appends, syncs, closes, kills and power failures
 * that keep a random part of what was not synced, with short writes and failing writes between.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Fault } from './faulty-disk.ts';
import { appendSynced, bodyOf, formattedDisk, open, turn } from './scripted-log.ts';
import type { Opened } from './scripted-log.ts';

type Step =
  | { readonly kind: 'append'; readonly bytes: number; readonly type: number }
  | { readonly kind: 'sync' | 'turn' | 'close' | 'kill' | 'read' }
  | { readonly kind: 'crash'; readonly survival: number }
  | { readonly kind: 'fault'; readonly fault: Fault };

const code = fc.constantFrom('EIO' as const, 'ENOSPC' as const);
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ shortBytes: fc.integer({ min: 1, max: 300 }) }),
  fc.record({ code, keptBytes: fc.nat(500) }),
);
const of = <Kind extends string>(kind: Kind): fc.Arbitrary<{ readonly kind: Kind }> =>
  fc.constant({ kind });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      bytes: fc.oneof(fc.nat(80), fc.nat(5000)),
      type: fc.integer({ min: 1, max: 255 }),
    }),
  },
  { weight: 4, arbitrary: of('sync') },
  { weight: 5, arbitrary: of('turn') },
  { weight: 2, arbitrary: of('read') },
  { weight: 1, arbitrary: of('close') },
  { weight: 1, arbitrary: of('kill') },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('crash' as const),
      survival: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fault' as const), fault }) },
);

/** One history; the model is what was appended and how much of it must survive. */
class History {
  #disk = formattedDisk();
  #opened: Opened = open(this.#disk);
  #model: string[] = [];
  #confirmed = 0;

  async run(next: Step): Promise<void> {
    const { log } = this.#opened;
    if (this.#opened.fatal.length > 0 && next.kind !== 'crash') {
      this.#restart(this.#disk.killProcess());
      return;
    }
    switch (next.kind) {
      case 'append': {
        const body = bodyOf(this.#model.length) + 'z'.repeat(next.bytes);
        log.append(next.type, [Buffer.from(body)]);
        this.#model.push(body);
        return;
      }
      case 'sync':
        this.#sync();
        return;
      case 'turn':
        await turn();
        return;
      case 'read': {
        const location = log.append(1, [Buffer.from('read')]);
        this.#model.push('read');
        await turn();
        expect(Buffer.from(log.read(location)).toString()).toBe('read');
        return;
      }
      case 'close':
        try {
          await log.close();
          this.#confirmed = this.#model.length;
        } catch (error) {
          expect(error).toBe(this.#opened.fatal[0]);
        }
        this.#restart(this.#disk.killProcess());
        return;
      case 'kill':
        this.#restart(this.#disk.killProcess());
        return;
      case 'crash':
        this.#restart(this.#disk.crash((limit) => Math.floor(limit * next.survival)));
        return;
      case 'fault': {
        const at = this.#disk.callsOf('writeDurably') + 1;
        this.#disk.fault = (operation, call) =>
          operation === 'writeDurably' && call === at ? next.fault : undefined;
        return;
      }
    }
  }

  async finish(): Promise<void> {
    this.#restart(this.#disk.crash(() => 0));
    const more = await appendSynced(this.#opened.log, 0, 3);
    expect(open(this.#disk.crash(() => 0)).bodies).toEqual([...this.#model, ...more]);
  }

  #sync(): void {
    const promised = this.#model.length;
    const opened = this.#opened;
    opened.log.sync(() => {
      // A process that is dead says nothing; here its turn of the event loop may still come.
      if (this.#opened !== opened) return;
      expect(opened.fatal).toEqual([]);
      expect(promised).toBeGreaterThanOrEqual(this.#confirmed);
      this.#confirmed = promised;
    });
  }

  #restart(disk: ReturnType<typeof formattedDisk>): void {
    expect(this.#opened.fatal.length).toBeLessThanOrEqual(1);
    this.#disk = disk;
    this.#opened = open(disk);
    const { bodies } = this.#opened;
    expect(bodies).toEqual(this.#model.slice(0, bodies.length));
    expect(bodies.length).toBeGreaterThanOrEqual(this.#confirmed);
    // What a life has read at its start it relies on: from now on it must survive as well.
    this.#model = [...bodies];
    this.#confirmed = bodies.length;
  }
}

it('keeps every confirmed frame and never another order, whatever happens', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80 }), async (steps) => {
      const history = new History();
      for (const next of steps) await history.run(next);
      await history.finish();
    }),
    { numRuns: 250 },
  );
});
