import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import { callAnywhere, whoeverAnswers } from './calls.ts';
import { Regions } from './regions.ts';

const silent = new Promise<never>(() => undefined);

function refused(who: string): Promise<never> {
  return Promise.reject(new MeridianError('UNAVAILABLE', who));
}

describe('a call to any region', () => {
  it('is UNAVAILABLE, without effect, where no replica was ever connected', async () => {
    // Nobody listens on the discard port.
    const replicas = ['a', 'b'].map((region) => ({ region, address: '127.0.0.1:9' }));
    const regions = new Regions({ replicas });
    const limits = { deadlineMs: 300, silenceMs: 100 };
    try {
      const call = callAnywhere(regions, JournalService.method.heartbeat, {}, limits);
      await expect(call).rejects.toMatchObject({ reason: 'UNAVAILABLE', noEffect: true });
      await expect(call).rejects.toThrow(
        /Heartbeat: no replica answered within 300 ms; last: .*:9: no/,
      );
    } finally {
      regions.close();
    }
  });
});

describe('whoever answers', () => {
  it('counts, whatever the others say and however long they take', async () => {
    const answer = whoeverAnswers([refused('a'), silent, Promise.resolve('b')]);
    await expect(answer).resolves.toBe('b');
  });

  it('when nobody does, what the first said is the error', async () => {
    const later = new Promise<void>(setImmediate).then(() => refused('first'));
    const answer = whoeverAnswers([later, refused('second')]);
    await expect(answer).rejects.toMatchObject({ message: 'first' });
  });

  it('without anybody to ask, that is the error', async () => {
    await expect(whoeverAnswers([])).rejects.toMatchObject({ reason: 'INVALID' });
  });
});
