import { expect, it } from 'vitest';
import type { Inspection } from '../../libs/lane/inspect.ts';
import type { Micros } from '../../libs/values/numbers.ts';
import { Health } from './health.ts';

const OWN = { role: 'writing', writer: 0 };

function health(view: { voting: boolean; heard: boolean }): Health {
  const inspect = (): Inspection =>
    ({
      voting: view.voting,
      peers: [{ heard: view.heard }],
      lanes: [OWN],
    }) as unknown as Inspection;
  return new Health({
    self: 0,
    inspect,
    noQuorumMicros: 1_000_000,
    onServing: () => undefined,
    onNoQuorum: () => undefined,
  });
}

it('appends are taken from the moment the replica votes', () => {
  const view = { voting: false, heard: true };
  const judged = health(view);
  expect(judged.obstacle()?.reason).toBe('NO_QUORUM');
  judged.look(0 as Micros, true);
  expect(judged.obstacle()?.message).toContain('recovering');
  // No further look: the core voted a moment ago, and its status already says so.
  view.voting = true;
  expect(judged.obstacle()).toBeNull();
});

it('a replica that hears nobody says so after the time it is given, and serves again when it does', () => {
  const view = { voting: true, heard: true };
  const judged = health(view);
  judged.look(0 as Micros, true);
  expect(judged.serving).toBe(true);
  view.heard = false;
  judged.look(900_000 as Micros, true);
  expect(judged.obstacle()).toBeNull();
  judged.look(1_100_000 as Micros, true);
  expect(judged.obstacle()?.message).toContain('hears neither');
  expect(judged.serving).toBe(false);
  view.heard = true;
  judged.look(1_200_000 as Micros, true);
  expect(judged.obstacle()).toBeNull();
  expect(judged.serving).toBe(true);
});
