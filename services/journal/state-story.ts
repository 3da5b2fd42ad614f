/**
 * The state changes of a replica as lines that a person can follow: each change once, with fields named
 * alike everywhere (`lane`, `peer`, `region`, `epoch`, `via`). Compares views of the core, so it also
 * sees what others did: a seal by a peer, a lane opened elsewhere. Changes nothing.
 *
 * Lanes, clock and votes are told at once. Who hears whom is told when it has stayed so for a moment:
 * a link that flickers would fill the log, and nothing has to be done about it.
 */
import type { Inspection, LaneInspection, PeerInspection } from '../../libs/lane/inspect.ts';
import type { EventLog } from './event-log.ts';
import type { LaneId, Micros, ReplicaId } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';

export interface StoryOptions {
  readonly logger: Pick<EventLog, 'info' | 'warn'>;
  readonly self: ReplicaId;
  readonly regionOf: (replica: ReplicaId) => string;
  readonly forwardedVia: () => string;
  readonly noQuorumMicros: number;
  readonly slowSyncMicros: number;
}

/** Changes of writers seen here, by lane. */
export interface LaneEvents {
  readonly opens: number[];
  readonly seals: number[];
}

/** A link has to stay as it is for this long before it is told. */
const SETTLED_MICROS = 1_000_000;
/** Slow syncs are told this often at most, with their number. */
const SLOW_SYNC_EVERY_MICROS = 10_000_000;

interface Hearing {
  readonly heard: boolean;
  readonly hearsUs: boolean;
}

export class StateStory {
  readonly #options: StoryOptions;
  readonly events: LaneEvents = { opens: [0, 0, 0], seals: [0, 0, 0] };
  #last: Inspection | null = null;
  readonly #told = new Map<ReplicaId, Hearing>();
  readonly #changing = new Map<ReplicaId, { readonly hearing: Hearing; readonly since: Micros }>();
  #via = '';
  #heardAt: Micros | null = null;
  #noQuorum = false;
  #slowSyncs = 0;
  #slowSyncWorst = 0;
  #slowSyncToldAt = -Infinity;

  constructor(options: StoryOptions) {
    this.#options = options;
  }

  /** Called every few milliseconds with the view of the moment. */
  look(now: Micros, inspection: Inspection): void {
    const last = this.#last;
    this.#last = inspection;
    for (const lane of inspection.lanes) this.#lane(lane, last?.lanes[lane.id], inspection);
    for (const peer of inspection.peers) this.#peer(now, peer);
    this.#quorum(now, inspection);
    this.#forwarding();
    if (last === null) return;
    const { logger } = this.#options;
    if (last.clockSafe && !inspection.clockSafe) {
      const offsets = inspection.peers.map(({ replica, clockOffsetMicros }) => ({
        peer: replica,
        offsetSeconds: clockOffsetMicros === null ? null : clockOffsetMicros / 1e6,
      }));
      logger.warn({ offsets }, 'the clock is out of bounds: nothing is stamped until it is not');
    }
    if (!last.clockSafe && inspection.clockSafe)
      logger.info('the clock is within its bounds again');
    if (!last.voting && inspection.voting) {
      logger.info('recovered from both others: this replica votes');
    }
  }

  synced(now: Micros, micros: number): boolean {
    const { slowSyncMicros, logger } = this.#options;
    if (micros < slowSyncMicros) return false;
    this.#slowSyncs += 1;
    this.#slowSyncWorst = Math.max(this.#slowSyncWorst, micros);
    if (now - this.#slowSyncToldAt < SLOW_SYNC_EVERY_MICROS) return true;
    this.#slowSyncToldAt = now;
    const [syncs, worstMs] = [this.#slowSyncs, Math.round(this.#slowSyncWorst / 1000)];
    logger.warn({ syncs, worstMs }, 'the disk syncs slowly');
    this.#slowSyncs = 0;
    this.#slowSyncWorst = 0;
    return true;
  }

  #lane(lane: LaneInspection, last: LaneInspection | undefined, view: Inspection): void {
    const { logger, self, regionOf } = this.#options;
    const { id, writer, promised: epoch, role } = lane;
    if (last === undefined || (last.role === role && last.writer === writer)) return;
    const fields = { lane: id, region: regionOf(id), epoch };
    if (role === 'preparing' && last.role !== 'preparing') {
      if (id === self) logger.info(fields, 'opening the own lane');
      else
        logger.warn({ ...fields, why: silenceOf(id, view) }, 'sealing the lane of a silent home');
    }
    if (writer === null || writer === last.writer) {
      if (role === 'writing' && last.role !== 'writing' && id === self) {
        logger.info({ ...fields, index: lane.last }, 'the own lane is open');
      }
      return;
    }
    const by = regionOf(writer);
    if (writer === id) {
      this.#count(this.events.opens, id);
      logger.info({ ...fields, by }, 'the lane is written by its home');
    } else {
      this.#count(this.events.seals, id);
      logger.warn({ ...fields, by }, 'the lane is sealed');
    }
  }

  #count(counts: number[], lane: LaneId): void {
    counts[lane] = (counts[lane] ?? 0) + 1;
  }

  /** Of a peer that is not heard, the last it said about hearing us is no news. */
  #peer(now: Micros, { replica, heard, hearsUs: said }: PeerInspection): void {
    const hearsUs = heard && said;
    const told = this.#told.get(replica);
    if (told?.heard === heard && told.hearsUs === hearsUs) {
      this.#changing.delete(replica);
      return;
    }
    const changing = this.#changing.get(replica);
    if (changing?.hearing.heard !== heard || changing.hearing.hearsUs !== hearsUs) {
      this.#changing.set(replica, { hearing: { heard, hearsUs }, since: now });
      return;
    }
    if (now - changing.since < SETTLED_MICROS) return;
    this.#changing.delete(replica);
    this.#told.set(replica, { heard, hearsUs });
    const { logger, regionOf } = this.#options;
    const fields = { peer: replica, region: regionOf(replica), heard, hearsUs };
    if (heard && hearsUs) logger.info(fields, 'the peer and this replica hear each other');
    else if (heard) logger.warn(fields, 'the peer does not hear this replica');
    else logger.warn(fields, 'this replica does not hear the peer');
  }

  #quorum(now: Micros, { peers }: Inspection): void {
    const { logger, noQuorumMicros } = this.#options;
    if (peers.some(({ heard }) => heard)) {
      this.#heardAt = now;
      if (this.#noQuorum) logger.info('hears another replica again');
      this.#noQuorum = false;
    } else if (this.#heardAt !== null && !this.#noQuorum && now - this.#heardAt > noQuorumMicros) {
      this.#noQuorum = true;
      logger.warn('hears neither of the others: appends are refused, nothing is released');
    }
  }

  #forwarding(): void {
    const via = this.#options.forwardedVia();
    if (via === this.#via) return;
    const { logger } = this.#options;
    if (via === '') logger.info({ via: this.#via }, 'no forwarding is needed any more');
    else logger.warn({ via }, 'a region forwards for a link that is down');
    this.#via = via;
  }
}

/** Who does not hear the home of the lane, as far as this replica knows. */
function silenceOf(home: LaneId, { peers }: Inspection): string {
  const peer = peers.find(({ replica }) => replica === home);
  const third = REPLICAS.find((id) => id !== home && peers.some(({ replica }) => replica === id));
  return peer?.heard === true
    ? 'its home is heard and does not write'
    : `its home is heard neither here nor by replica ${String(third ?? '?')}`;
}
