import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { whoeverAnswers } from './calls.ts';

const silent = new Promise<never>(() => undefined);

function refused(who: string): Promise<never> {
  return Promise.reject(new MeridianError('UNAVAILABLE', who));
}

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
