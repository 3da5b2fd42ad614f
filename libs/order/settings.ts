/**
 * The bounds of the machine. All replicas forget alike because they have the same: a snapshot carries
 * them, in the order in which they stand here.
 */
export interface OrderSettings {
  /** Writers that are remembered. Default 100,000. */
  readonly writersMax: number;
  /** Outcomes that are remembered of one writer, at least 4. Default 4,096. */
  readonly outcomesPerWriter: number;
  /** Outcomes there is memory for (24 bytes each), over all writers. Default 4,194,304. */
  readonly outcomesMax: number;
  /** Age of a writer's last append, in log time, beyond which it is forgotten. Default 7 days. */
  readonly writerAgeMaxMicros: number;
  /** Names of streams, those of deleted ones included. Default 1,000,000. */
  readonly streamNamesMax: number;
  /** Control actions whose outcome is remembered; beyond, further ones are refused. Default 131,072. */
  readonly actionsMax: number;
  /** How long it is remembered, in log time. Default 5 minutes. */
  readonly actionAgeMaxMicros: number;
}

export const ORDER_SETTINGS: OrderSettings = {
  writersMax: 100_000,
  outcomesPerWriter: 4096,
  outcomesMax: 4 * 1024 * 1024,
  writerAgeMaxMicros: 7 * 24 * 3600 * 1_000_000,
  streamNamesMax: 1_000_000,
  actionsMax: 128 * 1024,
  actionAgeMaxMicros: 5 * 60 * 1_000_000,
};
