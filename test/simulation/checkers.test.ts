/** A checker that never objects proves nothing: each illegal history here must be rejected by name. */
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../libs/order/types.ts';
import type { Epoch, Index, SeqNum } from '../../libs/values/numbers.ts';
import { appended, entry, History } from './histories.ts';
import { Violation } from './violation.ts';

/** Runs a history and returns the rule it is rejected by. */
function rejected(play: (history: History) => void): string {
  try {
    play(new History());
  } catch (error) {
    if (error instanceof Violation) return error.rule;
    throw error;
  }
  return 'accepted';
}

const failed = (expectedSeq: number, actual: number): Outcome => ({
  kind: 'failed',
  failure: {
    reason: 'CONDITION_FAILED',
    condition: 'matchSeqNum',
    expected: expectedSeq,
    actual,
  },
});

describe('a legal history', () => {
  it('is accepted: stored, acknowledged, released everywhere, read', () => {
    const rule = rejected((h) => {
      const attempt = h.attempt(h.operation());
      const first = entry(0, 1, 10, [attempt]);
      h.store(first, 0, 1, 2);
      h.checkers.log.sent(0, h.packet(0, { clock: 80 }));
      h.checkers.log.commit(0, first);
      h.checkers.session.acknowledge(0, first, attempt);
      for (const replica of [0, 1, 2] as const) {
        h.checkers.log.holds(replica, first);
        h.release(replica, first, appended(first, 0));
        h.watermark(replica, 90);
      }
      const read = h.read();
      h.checkers.readDone(1, read, 2);
      h.checkers.restarted(2, 0);
      h.release(2, first, appended(first, 0));
      h.checkers.log.survey();
    });
    expect(rule).toBe('accepted');
  });
});

describe('the order checker rejects', () => {
  const two = (h: History) => {
    const [a, b] = [h.attempt(h.operation(), 0), h.attempt(h.operation(), 1)];
    return [entry(0, 1, 10, [a]), entry(1, 1, 11, [b])] as const;
  };

  it.each<[string, string, (h: History) => void]>([
    [
      'another entry at the same place',
      'order-agreement',
      (h) => {
        const [a, b] = two(h);
        h.release(0, a, appended(a, 0));
        h.release(1, b, appended(b, 0));
      },
    ],
    [
      'a release that changes in the next life',
      'order-agreement',
      (h) => {
        const [a, b] = two(h);
        h.release(0, a, appended(a, 0));
        h.release(0, b, appended(b, 2));
        h.checkers.restarted(0, 0);
        h.release(0, b, appended(b, 0));
      },
    ],
    [
      'timestamps that go back',
      'release-order',
      (h) => {
        const [a, b] = two(h);
        h.release(0, b, appended(b, 0));
        h.release(0, a, appended(a, 2));
      },
    ],
    [
      'a lane that goes back',
      'release-index',
      (h) => {
        h.release(0, entry(0, 2, 10));
        h.release(0, entry(0, 1, 11));
      },
    ],
    [
      'a timestamp of another lane',
      'timestamp-lane',
      (h) => {
        h.release(0, { ...entry(0, 1, 10), timestamp: entry(1, 1, 10).timestamp });
      },
    ],
    [
      'outcomes that differ between replicas',
      'outcome-agreement',
      (h) => {
        const [a] = two(h);
        h.release(0, a, appended(a, 0));
        h.release(1, a, appended(a, 1));
      },
    ],
    [
      'a part of a batch',
      'batch-torn',
      (h) => {
        const e = entry(0, 1, 10, [h.attempt(h.operation()), h.attempt(h.operation())]);
        h.release(0, e, appended(e, 0));
      },
    ],
    [
      'a record nobody handed to that replica',
      'foreign-record',
      (h) => {
        const e = entry(0, 1, 10, [h.attempt(h.operation(), 1)]);
        h.release(0, e, appended(e, 0));
      },
    ],
    [
      'one attempt in two entries',
      'released-twice',
      (h) => {
        const attempt = h.attempt(h.operation());
        const [a, b] = [entry(0, 1, 10, [attempt]), entry(0, 2, 11, [attempt])];
        h.release(0, a, appended(a, 0));
        h.release(0, b, appended(b, 2));
      },
    ],
    [
      'an effect of what was refused',
      'refused-effective',
      (h) => {
        const attempt = h.attempt(h.operation());
        h.checkers.session.refused(0, attempt);
        const e = entry(0, 1, 10, [attempt]);
        h.release(0, e, appended(e, 0));
      },
    ],
    [
      'an append ordered before what was over when it began',
      'real-time-order',
      (h) => {
        h.watermark(1, 200);
        const attempt = h.attempt(h.operation());
        h.checkers.session.watermark = 0;
        const e = entry(0, 1, 10, [attempt]);
        h.release(0, e, appended(e, 0));
      },
    ],
    [
      'a timestamp not above the minTimestamp',
      'min-timestamp',
      (h) => {
        const attempt = { ...h.attempt(h.operation()), minTimestamp: 100 };
        const e = entry(0, 1, 10, [attempt]);
        h.release(0, e, appended(e, 0));
      },
    ],
    [
      'an acknowledged append that moved',
      'acknowledged-moved',
      (h) => {
        const attempt = h.attempt(h.operation());
        h.checkers.session.acknowledge(0, entry(0, 1, 10, [attempt]), attempt);
        const e = entry(0, 1, 12, [attempt]);
        h.release(0, e, appended(e, 0));
      },
    ],
    [
      'an acknowledged append without effect',
      'acknowledged-without-effect',
      (h) => {
        const attempt = h.attempt(h.operation({ matchSeqNum: 5 as SeqNum }));
        const e = entry(0, 1, 10, [attempt]);
        h.checkers.session.acknowledge(0, e, attempt);
        h.release(0, e, failed(5, 0));
      },
    ],
    [
      'an operation that takes effect twice',
      'doubled',
      (h) => {
        const operation = h.operation();
        const [a, b] = [
          entry(0, 1, 10, [h.attempt(operation)]),
          entry(0, 2, 11, [h.attempt(operation)]),
        ];
        h.release(0, a, appended(a, 0));
        h.release(0, b, appended(b, 2));
      },
    ],
    [
      'a duplicate of nothing',
      'false-duplicate',
      (h) => {
        const operation = h.operation({ writer: { id: 'w', epoch: 1, seq: 1, previous: 0 } });
        const e = entry(0, 1, 10, [h.attempt(operation)]);
        const first = appended(e, 0) as Extract<Outcome, { kind: 'appended' }>;
        h.release(0, e, { kind: 'duplicate', first });
      },
    ],
    [
      'a retry that is told another outcome',
      'first-outcome',
      (h) => {
        const operation = h.operation({ writer: { id: 'w', epoch: 1, seq: 1, previous: 0 } });
        const a = entry(0, 1, 10, [h.attempt(operation)]);
        const b = entry(0, 2, 11, [h.attempt(operation)]);
        h.release(0, a, appended(a, 0));
        const first = appended(a, 7) as Extract<Outcome, { kind: 'appended' }>;
        h.release(0, b, { kind: 'duplicate', first });
      },
    ],
    [
      'a hole in the sequence numbers',
      'dense-sequence',
      (h) => {
        const [a, b] = two(h);
        h.release(0, a, appended(a, 0));
        h.release(0, b, appended(b, 3));
      },
    ],
    [
      'an append whose condition did not hold',
      'condition-ignored',
      (h) => {
        const e = entry(0, 1, 10, [h.attempt(h.operation({ matchSeqNum: 4 as SeqNum }))]);
        h.release(0, e, appended(e, 0));
      },
    ],
    [
      'a failure of a condition that held',
      'condition-false',
      (h) => {
        const e = entry(0, 1, 10, [h.attempt(h.operation({ matchSeqNum: 0 as SeqNum }))]);
        h.release(0, e, failed(0, 0));
      },
    ],
    [
      'a failure that reports a wrong tail',
      'condition-actual',
      (h) => {
        const e = entry(0, 1, 10, [h.attempt(h.operation({ matchSeqNum: 4 as SeqNum }))]);
        h.release(0, e, failed(4, 3));
      },
    ],
    [
      "a writer's appends out of order",
      'writer-order',
      (h) => {
        const writer = { id: 'w', epoch: 1, seq: 2, previous: 1 };
        const e = entry(0, 1, 10, [h.attempt(h.operation({ writer }))]);
        h.release(0, e, appended(e, 0));
      },
    ],
  ])('%s', (_name, rule, play) => {
    expect(rejected(play)).toBe(rule);
  });
});

describe('the session checker rejects', () => {
  it.each<[string, string, (h: History) => void]>([
    [
      'a release behind a watermark somebody has shown',
      'release-behind',
      (h) => {
        h.watermark(1, 200);
        h.release(0, entry(0, 1, 10));
      },
    ],
    [
      'a watermark that goes back',
      'watermark-monotone',
      (h) => {
        h.watermark(0, 200);
        h.watermark(0, 100);
      },
    ],
    [
      'a watermark ahead of the releases',
      'watermark-ahead',
      (h) => {
        h.release(1, entry(0, 1, 10));
        h.watermark(0, 200);
      },
    ],
    [
      'a release above the watermark',
      'released-above',
      (h) => {
        h.release(0, entry(0, 1, 10));
        h.watermark(0, 20);
      },
    ],
    [
      'an acknowledgement behind a watermark that does not show it',
      'acknowledged-behind',
      (h) => {
        const attempt = h.attempt(h.operation());
        h.watermark(1, 200);
        h.checkers.session.acknowledge(0, entry(0, 1, 10, [attempt]), attempt);
      },
    ],
    [
      'an acknowledgement of an append the entry does not hold',
      'acknowledged-foreign',
      (h) => {
        h.checkers.session.acknowledge(0, entry(0, 1, 10), h.attempt(h.operation()));
      },
    ],
    [
      'a refusal of what was acknowledged',
      'refused-effective',
      (h) => {
        const attempt = h.attempt(h.operation());
        h.checkers.session.acknowledge(0, entry(0, 1, 10, [attempt]), attempt);
        h.checkers.session.refused(0, attempt);
      },
    ],
    [
      'a read that misses what was acknowledged before it',
      'stale-read',
      (h) => {
        const attempt = h.attempt(h.operation());
        h.checkers.session.acknowledge(0, entry(0, 1, 10, [attempt]), attempt);
        h.checkers.readDone(1, h.read(), 0);
      },
    ],
    [
      'a read that sees less than an earlier one',
      'read-went-back',
      (h) => {
        h.release(0, entry(0, 1, 10));
        h.checkers.readDone(0, h.read(), 0);
        h.checkers.readDone(1, h.read(), 0);
      },
    ],
    [
      'a tail that somebody has seen higher',
      'stale-tail',
      (h) => {
        h.checkers.session.told('s', 4);
        h.checkers.readDone(0, h.read(), 3);
      },
    ],
    [
      'an acknowledged append that is nowhere at the end',
      'acknowledged-lost',
      (h) => {
        const attempt = h.attempt(h.operation());
        h.checkers.session.acknowledge(0, entry(0, 1, 10, [attempt]), attempt);
        h.checkers.session.finished();
      },
    ],
  ])('%s', (_name, rule, play) => {
    expect(rejected(play)).toBe(rule);
  });
});

describe('the log checker rejects', () => {
  it.each<[string, string, (h: History) => void]>([
    [
      'commitment on one disk',
      'commit-without-quorum',
      (h) => {
        const e = entry(0, 1, 10);
        h.store(e, 0);
        h.checkers.log.commit(0, e);
      },
    ],
    [
      'commitment of an old epoch by its own copies',
      'commit-before-chosen',
      (h) => {
        const e = entry(0, 1, 10);
        h.store(e, 0);
        h.write(1, { type: 'promise', lane: 0, epoch: 16 as Epoch }, { type: 'entry', entry: e });
        h.checkers.log.commit(1, e);
      },
    ],
    [
      'two committed entries in one place',
      'commit-agreement',
      (h) => {
        const [a, b] = [entry(0, 1, 10), entry(0, 1, 11, [], 16)];
        h.store(a, 0, 1);
        h.checkers.log.commit(0, a);
        h.checkers.log.commit(1, b);
      },
    ],
    [
      'the truncation of a committed entry',
      'committed-truncated',
      (h) => {
        const e = entry(0, 1, 10);
        h.store(e, 0, 1);
        h.checkers.log.commit(0, e);
        h.write(1, { type: 'truncate', lane: 0, from: 1 as Index });
      },
    ],
    [
      'a committed entry that is on one disk of three',
      'committed-lost',
      (h) => {
        const e = entry(0, 1, 10);
        h.store(e, 0, 1);
        h.checkers.log.commit(0, e);
        const lane = h.disks[1]?.lanes[0];
        if (lane !== undefined) lane.entries.length = 0;
        h.checkers.log.survey();
      },
    ],
    [
      'a release of what the replica does not hold',
      'release-unsynced',
      (h) => {
        const e = entry(0, 1, 10);
        h.store(e, 0, 1);
        h.checkers.log.holds(2, e);
      },
    ],
    [
      'a claim of entries that are not on disk',
      'claim-unsynced',
      (h) => {
        h.checkers.log.sent(0, h.packet(0, { tail: { epoch: 8, index: 1 } }));
      },
    ],
    [
      'a claim of a promise that is not on disk',
      'promise-unsynced',
      (h) => {
        h.checkers.log.sent(0, h.packet(0, { promised: 8 }));
      },
    ],
    [
      'a letter with a promise that is not on disk',
      'promise-unsynced',
      (h) => {
        const { tail } = h.packet(0).status.lanes[0] ?? {};
        if (tail === undefined) return;
        const promise = { lane: 0, epoch: 9 as Epoch, tail, committed: 0 as Index } as const;
        const control = { type: 'promise', ...promise, clock: h.packet(0).clock } as const;
        h.checkers.log.sent(0, h.packet(0, { letters: [{ from: 0, to: 1, control }] }));
      },
    ],
    [
      'a clock that goes back over a restart',
      'clock-monotone',
      (h) => {
        h.checkers.log.sent(0, h.packet(0, { clock: 900 }));
        h.checkers.restarted(0, 0);
        h.checkers.log.sent(0, h.packet(0, { clock: 800 }));
      },
    ],
    [
      'a promise of a lower epoch',
      'epoch-monotone',
      (h) => {
        h.write(0, { type: 'promise', lane: 1, epoch: 17 as Epoch });
        h.write(0, { type: 'promise', lane: 1, epoch: 9 as Epoch });
      },
    ],
    [
      'timestamps of a lane that do not increase',
      'timestamps-increase',
      (h) => {
        h.store(entry(0, 1, 10), 0);
        h.store(entry(0, 2, 10, [], 16), 0);
      },
    ],
    [
      'records of a sealer',
      'sealer-appends',
      (h) => {
        h.store(entry(0, 1, 10, [h.attempt(h.operation())], 9), 1);
      },
    ],
    [
      'a hole in a log',
      'log-hole',
      (h) => {
        h.store(entry(0, 2, 10), 0);
      },
    ],
  ])('%s', (_name, rule, play) => {
    expect(rejected(play)).toBe(rule);
  });
});
