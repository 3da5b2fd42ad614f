/**
 * The instances of a database, changed: what `meridian instances` does, step by step. Each step may be repeated,
 * so a command that was interrupted anywhere is simply given again. The order decides: a change is appended
 * under the condition that no other came in between, and crossbars say afterwards whether it holds.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { connectCrossbars } from '../../libs/applier/crossbars.ts';
import type { Crossbars } from '../../libs/applier/crossbars.ts';
import { whoeverAnswers } from '../../libs/client/calls.ts';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import type { JournalOptions, ReplicaAddress } from '../../libs/client/types.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import {
  MEMBERS_STREAM,
  RETIRED_STREAM,
  encodeMemberRecord,
} from '../../libs/frames/member-record.ts';
import type { MemberEvent, MemberRef, PastEvent } from '../../libs/frames/member-record.ts';
import { RETIREMENT_GRACE_MICROS } from '../../libs/order/machine.ts';
import { RETIREMENT_RULES } from '../../libs/order/rules.ts';
import type { StatusResponse } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { checkRules } from './order-rules.ts';

export interface Life {
  readonly number: number;
  readonly name: string;
  readonly state: 'member' | 'left';
  readonly joinedAt: number;
  readonly leftAt: number;
}

export interface DatabaseView {
  readonly registry: string;
  readonly lives: readonly Life[];
  readonly status: StatusResponse;
}

interface Follower {
  readonly address: string;
  readonly client: Crossbars;
}

export interface LeaveOptions {
  /** Regions that are gone for good. */
  readonly without: readonly string[];
  readonly note: (text: string) => void;
  readonly warn: (text: string) => void;
}

export type Changed = Life & { readonly changed: boolean };

const DEADLINE_MS = 30_000;
const RETRY_MS = 100;

export class Database {
  readonly #endpoint: JournalOptions;
  readonly #registry: Journal;
  readonly #crossbars: readonly Follower[];
  readonly #deadlineMs: number;

  /** `endpoint`: of the registry. Connects when first needed. */
  constructor(endpoint: JournalOptions, crossbars: readonly string[]) {
    const { cluster, security, deadlineMs = DEADLINE_MS } = endpoint;
    this.#endpoint = endpoint;
    this.#deadlineMs = deadlineMs;
    this.#registry = connectJournal(endpoint);
    this.#crossbars = crossbars.map((address) => ({
      address,
      client: connectCrossbars({
        cluster,
        crossbars: [address],
        deadlineMs,
        ...(security === undefined ? {} : { security }),
      }),
    }));
  }

  /** As the first crossbar that answers knows it. */
  async view(): Promise<DatabaseView> {
    return viewOf(await whoeverAnswers(this.#crossbars.map(({ client }) => client.status())));
  }

  /** REFUSED: the number or name is taken, or a crossbar could not follow. */
  async join(number: number, name: string, replicas: readonly ReplicaAddress[]): Promise<Changed> {
    const from = await this.#readPointOf(name, replicas);
    return this.#change((lives) => {
      const same = lives.find((life) => life.number === number && life.name === name);
      if (same?.state === 'member') return same;
      const taken = lives.find((life) => life.number === number || life.name === name);
      if (taken !== undefined) {
        const message = `number ${taken.number} is or was instance ${taken.name}: a number and a name stand for one instance for ever`;
        throw new MeridianError('REFUSED', message, { details: { ...taken } });
      }
      return {
        change: { kind: 'join', instance: number, name, replicas },
        minTimestamp: from,
      };
    });
  }

  /** The same, a replica of it is too old to be retired, and DEADLINE: a replica did not hear of it in time. */
  async leave(
    name: string,
    replicas: readonly ReplicaAddress[],
    options: LeaveOptions,
  ): Promise<Changed> {
    const { life, registry } = await this.#find(name);
    if (life.state === 'left') return { ...life, changed: false };
    if (registry === name) {
      const message = `${name} is the registry, whose journal holds the changes: it cannot leave`;
      throw new MeridianError('REFUSED', message);
    }
    const leaving = this.#connect(name, replicas);
    try {
      const end = await this.#retire(leaving, replicas, options);
      return await this.#change((lives) => {
        const now = lives.find((each) => each.name === name);
        if (now?.state === 'left') return now;
        return {
          change: { kind: 'leave', instance: life.number, name, replicas: [] },
          minTimestamp: end,
        };
      });
    } finally {
      await leaving.close({ drainMs: 0 });
    }
  }

  /**
   * Says again in a new record what there has been, and trims the stream of changes up to it: for a registry
   * whose journal gives up what is old. Returns how many records are left.
   */
  async renew(): Promise<{ readonly renewedAt: number; readonly records: number }> {
    for (;;) {
      const { records, status } = await this.#current();
      const record = encodeMemberRecord({ kind: 'renewal', ...factsOf(status) });
      const placed = await this.#append(record, records, 0);
      if (placed === null) continue;
      const { firstSeqNum } = await this.#registry.trim(MEMBERS_STREAM, { before: records });
      return { renewedAt: placed, records: records + 1 - firstSeqNum };
    }
  }

  async close(): Promise<void> {
    for (const { client } of this.#crossbars) client.close();
    await this.#registry.close({ drainMs: 0 });
  }

  /** An instance that comes or goes, reached as the registry is. */
  #connect(instance: string, replicas: readonly ReplicaAddress[]): Journal {
    const region = replicas[0]?.region ?? '';
    return connectJournal({ ...this.#endpoint, instance, replicas, region });
  }

  async #find(name: string): Promise<{ life: Life; registry: string }> {
    const { lives, registry } = await this.#current();
    const life = lives.find((each) => each.name === name);
    if (life !== undefined) return { life, registry };
    const names = lives.map((each) => each.name).join(', ');
    throw new MeridianError(
      'STREAM_NOT_FOUND',
      `no instance ${name} in this database; there are ${names}`,
    );
  }

  /** Who joins has to run: everybody waits for it afterwards. What it has taken so far stays outside. */
  async #readPointOf(name: string, replicas: readonly ReplicaAddress[]): Promise<number> {
    const journal = this.#connect(name, replicas);
    try {
      return (await journal.heartbeat()).readPoint;
    } finally {
      await journal.close({ drainMs: 0 });
    }
  }

  /** Returns the timestamp up to which the instance has taken appends. */
  async #retire(
    leaving: Journal,
    replicas: readonly ReplicaAddress[],
    { without, note, warn }: LeaveOptions,
  ): Promise<number> {
    const regions = replicas
      .map(({ region }) => region)
      .filter((region) => !without.includes(region));
    await checkRules(regions, (region) => leaving.status(region), {
      rules: RETIREMENT_RULES,
      purpose: 'to retire an instance',
      deadlineMs: this.#deadlineMs,
    });
    const begun = await leaving.createStream(RETIRED_STREAM);
    const { createdAt } = await leaving.describeStream(RETIRED_STREAM);
    const end = createdAt + RETIREMENT_GRACE_MICROS;
    const until = performance.now() + this.#deadlineMs;
    note(
      `retired: it takes no appends above ${end}; waiting until ${regions.join(', ')} know and that is past`,
    );
    await Promise.all(
      regions.map(async (region) => {
        const clock = await heard(leaving, region, until);
        if (begun && clock > end) warn(tooLate(region, end));
      }),
    );
    for (;;) {
      const { readPoint } = await leaving.heartbeat({ waitForWatermark: true });
      const { watermark } = await leaving.localTail(RETIRED_STREAM);
      if (Math.max(readPoint, watermark) > end) return end;
      await pause(RETRY_MS);
    }
  }

  /** `wanted`: the life that stands already, for which nothing has to be done; or the change, and what it has to come after. */
  async #change(
    wanted: (lives: readonly Life[]) =>
      | Life
      | {
          readonly change: MemberEvent;
          readonly minTimestamp: number;
        },
  ): Promise<Changed> {
    for (;;) {
      const { lives, records, status } = await this.#current();
      const plan = wanted(lives);
      if (!('change' in plan)) return { ...plan, changed: false };
      const record = encodeMemberRecord({ ...plan.change, ...factsOf(status) });
      const placed = await this.#append(record, records, plan.minTimestamp);
      if (placed === null) continue;
      // Who has joined has then closed its past up to there: whatever it takes now is part of the order.
      await Promise.all(this.#crossbars.map(({ client }) => client.waitFor(placed)));
      const [view] = await Promise.all(this.#crossbars.map((each) => this.#knowing(each, placed)));
      const life = view?.lives.find((each) => each.number === plan.change.instance);
      const held = plan.change.kind === 'join' ? life?.joinedAt : life?.leftAt;
      if (life !== undefined && held === placed) return { ...life, changed: true };
      const message = `the change at ${placed} is recorded, and the crossbars do not take it for one`;
      throw new MeridianError('REFUSED', message);
    }
  }

  /** null: another change came first. */
  async #append(
    record: ReturnType<typeof encodeMemberRecord>,
    matchSeqNum: number,
    minTimestamp: number,
  ): Promise<number | null> {
    try {
      const options = { matchSeqNum, minTimestamp };
      return (await this.#registry.append(MEMBERS_STREAM, [record], options)).timestamp;
    } catch (error) {
      if (error instanceof MeridianError && error.reason === 'CONDITION_FAILED') return null;
      throw error;
    }
  }

  /** What every crossbar says once it knows all changes there are; they have to agree. */
  async #current(): Promise<DatabaseView & { readonly records: number }> {
    const { records, timestamp } = await this.#tail();
    const views = await Promise.all(
      this.#crossbars.map(async (each) => ({
        address: each.address,
        ...(await this.#knowing(each, timestamp)),
      })),
    );
    const [first] = views;
    if (first === undefined) throw new MeridianError('INVALID', 'no crossbar is given');
    for (const { address, registry, lives } of views) {
      if (registry === '') {
        const message = `the crossbar at ${address} is too old to follow changes of the instances: update it first`;
        throw new MeridianError('REFUSED', message);
      }
      if (registry !== this.#endpoint.instance) {
        const message = `the crossbar at ${address} says that ${registry} is the registry, not ${this.#endpoint.instance}: give that as --instance, with its --replicas`;
        throw new MeridianError('REFUSED', message);
      }
      if (JSON.stringify(lives) === JSON.stringify(first.lives)) continue;
      const message = `the crossbars at ${first.address} and ${address} do not have the same instances: compare their configurations`;
      throw new MeridianError('REFUSED', message);
    }
    return { ...first, records };
  }

  async #tail(): Promise<{ records: number; timestamp: number }> {
    try {
      const { nextSeqNum, timestamp } = await this.#registry.checkTail(MEMBERS_STREAM);
      return { records: nextSeqNum, timestamp };
    } catch (error) {
      if (!(error instanceof MeridianError) || error.reason !== 'STREAM_NOT_FOUND') throw error;
      return { records: 0, timestamp: 0 };
    }
  }

  /** Once it knows every change up to there: one that has just started knows none. */
  async #knowing({ address, client }: Follower, timestamp: number): Promise<DatabaseView> {
    const until = performance.now() + this.#deadlineMs;
    for (;;) {
      const status = await client.status();
      if (status.registry === '' || Number(status.changesKnownTo) >= timestamp) {
        return viewOf(status);
      }
      if (performance.now() > until) {
        const message = `the crossbar at ${address} knows the changes of the instances up to ${status.changesKnownTo} only, not to ${timestamp}`;
        throw new MeridianError('DEADLINE', message);
      }
      await pause(RETRY_MS);
    }
  }
}

/** Who began, and what there has been since. */
function factsOf({ lives }: StatusResponse): {
  readonly founders: readonly MemberRef[];
  readonly history: readonly PastEvent[];
} {
  const founders = lives
    .filter(({ joinedAt }) => joinedAt === 0n)
    .map(({ number, name }) => ({ number, name }));
  const events = lives.flatMap(({ number, name, joinedAt, leftAt, replicas }): PastEvent[] => {
    const who = { instance: number, name };
    const places = replicas.map(({ region, address }) => ({ region, address }));
    return [
      { kind: 'join', ...who, replicas: places, timestamp: Number(joinedAt) },
      { kind: 'leave', ...who, replicas: [], timestamp: Number(leftAt) },
    ];
  });
  const history = events.filter(({ timestamp }) => timestamp > 0);
  return { founders, history: history.sort((a, b) => a.timestamp - b.timestamp) };
}

function viewOf(status: StatusResponse): DatabaseView {
  const lives = status.lives.map(({ number, name, joinedAt, leftAt }): Life => ({
    number,
    name,
    state: leftAt === 0n ? 'member' : 'left',
    joinedAt: Number(joinedAt),
    leftAt: Number(leftAt),
  }));
  return { registry: status.registry, lives, status };
}

/** The replica in the region has executed the retirement; resolves with its clock then. */
async function heard(journal: Journal, region: string, until: number): Promise<number> {
  for (;;) {
    let last: MeridianError;
    try {
      await journal.localTail(RETIRED_STREAM, { region });
      return Number((await journal.status(region)).clock);
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      if (error.reason !== 'STREAM_NOT_FOUND' && !error.retry) throw error;
      last = error;
    }
    if (performance.now() > until) {
      const message = `the replica in ${region} has not heard of the retirement: ${last.message}; repeat the command, or give --without ${region} if it is gone for good`;
      throw new MeridianError('DEADLINE', message, { cause: last });
    }
    await pause(RETRY_MS);
  }
}

/** Its clock had passed the end when it was first seen to know of it. */
function tooLate(region: string, end: number): string {
  return `the replica in ${region} was found to know of it only after ${end}; a QUORUM append that it answered since may have been refused by the order: look at what it acknowledged`;
}
