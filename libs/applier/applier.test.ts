import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { startApplier } from './applier.ts';
import type { ApplierOptions } from './applier.ts';
import { FakeSource } from './fake-source.ts';
import type { Chunk, Position, Target } from './target.ts';

/** Remembers what it was given; fails when told to, before or after the chunk has taken effect. */
class Notes implements Target {
  readonly bodies: string[] = [];
  readonly chunks: number[] = [];
  stored: Position | null = null;
  fail: { readonly when: 'before' | 'after'; readonly error: Error } | null = null;
  gate: Promise<void> | null = null;

  position(): Promise<Position | null> {
    return Promise.resolve(this.stored);
  }

  async apply({ batches, position }: Chunk): Promise<void> {
    if (this.gate !== null) await this.gate;
    const fail = this.fail;
    this.fail = null;
    if (fail?.when === 'before') throw fail.error;
    this.chunks.push(batches.length);
    for (const { records } of batches) {
      for (const { body } of records) this.bodies.push(Buffer.from(body).toString());
    }
    this.stored = position;
    if (fail?.when === 'after') throw fail.error;
  }
}

async function started(more: Partial<ApplierOptions> = {}) {
  const [source, target] = [new FakeSource(), new Notes()];
  const troubles: string[] = [];
  const applier = await startApplier({
    source,
    target,
    onTrouble: ({ message }) => troubles.push(message),
    ...more,
  });
  const append = (...bodies: string[]): number =>
    source.append(
      's',
      bodies.map((body) => ({ body: Buffer.from(body) })),
    );
  return { source, target, applier, append, troubles };
}

describe('an applier', () => {
  it('applies from the beginning, in order, with the position behind what was applied', async () => {
    const { source, target, applier, append } = await started();
    expect(source.subscriptions[0]?.wish).toEqual({ after: null, streams: [], keys: [] });
    append('a', 'b');
    const last = append('c');
    source.settle();
    await applier.waitFor(last);
    expect(target.bodies).toEqual(['a', 'b', 'c']);
    expect(applier.watermark).toBe(20);
    await applier.stop();
    const again = await startApplier({ source, target });
    append('d');
    source.settle();
    await again.waitFor(30);
    expect(target.bodies).toEqual(['a', 'b', 'c', 'd']);
    await again.stop();
  });

  it.each(['before', 'after'] as const)(
    'goes on from what the target says when it failed %s the chunk took effect',
    async (when) => {
      const { source, target, applier, append, troubles } = await started();
      target.fail = { when, error: new MeridianError('UNAVAILABLE', 'connection lost') };
      const last = append('a', 'b');
      source.settle();
      while (source.subscriptions.length < 2) await new Promise(setImmediate);
      source.settle();
      await applier.waitFor(last);
      expect(target.bodies).toEqual(['a', 'b']);
      expect(troubles).toEqual(['connection lost']);
      await applier.stop();
    },
  );

  it('ends with what a retry cannot help, and says so to everybody who waits', async () => {
    const { source, target, applier, append } = await started();
    target.fail = { when: 'before', error: new TypeError('no such column') };
    const waiting = applier.waitFor(append('a'));
    source.settle();
    await expect(waiting).rejects.toThrow('the target failed: no such column');
    await expect(applier.ended).rejects.toMatchObject({ reason: 'REFUSED' });
    await expect(applier.linearizable(() => 1)).rejects.toMatchObject({ reason: 'REFUSED' });
    expect(source.subscriptions[0]?.cancelled).toBe(true);
  });

  it('ends at a gap unless it may go on, and never applies what follows', async () => {
    const gap = { kind: 'trimmed', instance: 'one', from: 1, to: 5 } as const;
    const strict = await started();
    strict.source.subscriptions[0]?.miss(gap);
    await expect(strict.applier.ended).rejects.toThrow('of instance one from 1 to 5 are trimmed');
    const lenient = await started({ onGap: () => true });
    lenient.source.subscriptions[0]?.miss(gap);
    const last = lenient.append('a');
    lenient.source.settle();
    await lenient.applier.waitFor(last);
    await lenient.applier.stop();
  });

  it('pauses the source while the target is busy, and collects what came into one chunk', async () => {
    const { source, target, applier, append } = await started({ queueBytesMax: 500 });
    let open: () => void = () => undefined;
    target.gate = new Promise((resolve) => {
      open = resolve;
    });
    for (let i = 0; i < 20; i += 1) append('x'.repeat(50));
    source.settle();
    expect(source.subscriptions[0]?.paused).toBe(true);
    expect(applier.status().queuedBytes).toBeLessThan(800);
    // A source that only says progress must not fill the memory of a stuck target.
    for (let i = 0; i < 5; i += 1) source.subscriptions[0]?.give(0);
    open();
    while (applier.watermark < 200) {
      source.settle();
      await new Promise(setImmediate);
    }
    expect(target.bodies.length).toBe(20);
    expect(target.chunks.length).toBeLessThan(12);
    await applier.stop();
  });

  it('runs a linearizable read only when everything completed before is applied, and shares rounds', async () => {
    const { source, target, applier, append } = await started();
    append('a');
    const seen: number[] = [];
    const read = (): Promise<void> =>
      applier.linearizable(() => {
        seen.push(target.bodies.length);
      });
    const first = read();
    append('b');
    const others = [read(), read(), read()];
    await new Promise(setImmediate);
    expect(seen).toEqual([]);
    source.subscriptions[0]?.give(1);
    await first;
    expect(seen).toEqual([1]);
    source.settle();
    await Promise.all(others);
    expect(seen).toEqual([1, 2, 2, 2]);
    expect(source.asked).toBe(2);
    await applier.stop();
  });

  it('says DEADLINE to who waited too long, and UNAVAILABLE after it was stopped', async () => {
    const { applier } = await started();
    await expect(applier.waitFor(99, { deadlineMs: 5 })).rejects.toMatchObject({
      reason: 'DEADLINE',
    });
    const waiting = applier.waitFor(99);
    await applier.stop();
    await expect(waiting).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
    await applier.ended;
  });

  it('stops at a batch whose checksum does not match', async () => {
    const { source, target, applier, append } = await started();
    append('a');
    const frames = source.log[0]?.frames;
    if (frames !== undefined) frames[frames.length - 1] = 0x7a;
    source.settle();
    await expect(applier.ended).rejects.toThrow('checksum');
    expect(target.bodies).toEqual([]);
  });
});
