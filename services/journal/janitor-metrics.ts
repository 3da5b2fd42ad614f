/** What a janitor knows of itself, as metrics: read when somebody scrapes. */
import type { Registry } from '../../libs/telemetry/metrics.ts';
import type { JanitorRounds, RoundFigures } from './janitor-rounds.ts';

const J = 'meridian_janitor';
const LABELS = ['archive'];

export function addJanitorMetrics(
  registry: Registry,
  rounds: Pick<JanitorRounds, 'figures'>,
  now: () => number,
): void {
  const read = (
    type: 'gauge' | 'counter',
    name: string,
    help: string,
    value: (of: RoundFigures) => number,
  ): void => {
    registry.read(type, { name: `${J}_${name}`, help, labels: LABELS }, (emit) => {
      for (const [archive, figures] of rounds.figures) emit(value(figures), archive);
    });
  };
  const age = 'Since the last round through the archive that ended well, or since the start.';
  read('gauge', 'round_age_seconds', age, ({ goodAt }) => (now() - goodAt) / 1000);
  read('counter', 'failures_total', 'Rounds that ended early.', ({ failures }) => failures);
  const removed = 'Segments that are named no more.';
  read('counter', 'removed_segments_total', removed, (of) => of.removedSegments);
  read('counter', 'removed_bytes_total', 'Bytes of these segments.', (of) => of.removedBytes);
  read('counter', 'deleted_objects_total', 'Objects deleted.', (of) => of.deletedObjects);
  read('gauge', 'waiting_objects', 'Objects that wait for their grace.', (of) => of.waitingObjects);
}
