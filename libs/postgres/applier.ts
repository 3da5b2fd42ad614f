/**
 * Applies batches of the journal to a target database, each source transaction exactly once and
 * whole, in order.
 *
 * Consecutive source transactions that wait together become one local transaction. Readers then see
 * a prefix of the source's history that is a few transactions further, never a part of one. A
 * transaction of many batches is executed as they arrive, in a local one that stays open until its
 * final batch is there; if that never comes, or another attempt follows, it is rolled back.
 *
 * While one local transaction is being committed the next is made already (`stage`); its COMMIT is sent when
 * the former one is answered, so what is committed here is a prefix at any moment.
 *
 * A change that does not fit (row missing, key already there, value refused) stops it with CONFLICT,
 * naming table and key. It never skips, never overwrites. After any error the applier is used up:
 * the owner closes it and opens another, which reads the position that is true.
 */
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import {
  CHECK_SQL,
  MOVE_AND_MARK_SQL,
  MOVE_SQL,
  ROLE_SQL,
  checkParameters,
  fenced,
  moveParameters,
  takeOver,
} from './applied-position.ts';
import type { AppliedPosition, JournalPosition, Role } from './applied-position.ts';
import { describeSource, sameSource } from './change-format.ts';
import type { Handover, Source, TransactionHeader } from './change-format.ts';
import { fromPostgres } from './connection.ts';
import type { PostgresClient } from './connection.ts';
import { decodeDefinition, insideTransaction } from './definitions.ts';
import type { Definition } from './definitions.ts';
import { LocalTransaction } from './local-transaction.ts';
import { formatLsn } from './lsn.ts';
import type { Message, Relation } from './pgoutput.ts';
import { followSequences } from './sequences.ts';
import { FlightError, TargetSession } from './target-session.ts';
import type { Query, TargetOptions } from './target-session.ts';
import { loadTargetTable } from './target-table.ts';
import type { TargetTable } from './target-table.ts';
import { TransactionAssembler } from './transaction-assembler.ts';

export interface IncomingBatch {
  /** After this batch. */
  readonly position: JournalPosition;
  /** Bodies of its records. */
  readonly records: readonly Uint8Array[];
}

export interface ApplierOptions extends TargetOptions {
  /** What the target is as a source: a handover to it makes it the primary. Default: it never is one. */
  readonly self?: Source | null;
}

export interface ApplierCounters {
  readonly transactions: number;
  readonly localTransactions: number;
  readonly rows: number;
}

/** After so many changes others get a turn, and what was sent is read. */
const CHANGES_A_TURN = 500;

export class Applier {
  readonly #name: string;
  readonly #session: TargetSession;
  readonly #self: Source | null;
  readonly #assembler: TransactionAssembler;
  readonly #local: LocalTransaction;
  readonly #tables = new Map<string, TargetTable>();
  /** Tables by the source's oid, as last described; emptied by a definition, which may change them. */
  readonly #relations = new Map<number, TargetTable>();
  readonly #descriptions = new Map<number, Relation>();
  #position: AppliedPosition;
  /** Where it will be when what is being committed is. */
  #ahead: AppliedPosition;
  #committing: Promise<void> | null = null;
  /** After everything that needs not be read again. */
  #passed: JournalPosition;
  /** The open local transaction has executed something: it takes no further source transaction. */
  #executed = false;
  #broken = false;
  /** Whole ones, committed or not. */
  #collected = 0;
  #transactions = 0;
  #localTransactions = 0;

  /** Connects, takes the position over, and fences whoever held it. */
  static async open(
    options: ApplierOptions,
    onLost: (error: MeridianError) => void,
  ): Promise<Applier> {
    const session = await TargetSession.open(options, onLost);
    try {
      return new Applier(options, session, await takeOver(session.client, options.name));
    } catch (error) {
      await session.close();
      throw fromPostgres(error, 'cannot read the position');
    }
  }

  private constructor(options: ApplierOptions, session: TargetSession, position: AppliedPosition) {
    this.#name = options.name;
    this.#self = options.self ?? null;
    this.#session = session;
    this.#local = new LocalTransaction(session, {
      check: () => ({ sql: CHECK_SQL, parameters: checkParameters(this.#name, this.#position) }),
      fenced: () => this.#fenced(),
    });
    this.#position = position;
    this.#ahead = position;
    this.#assembler = new TransactionAssembler(position.past);
    this.#passed = position.journal;
  }

  /** What the target holds. */
  get position(): AppliedPosition {
    return this.#position;
  }

  get counters(): ApplierCounters {
    const [transactions, localTransactions] = [this.#transactions, this.#localTransactions];
    return { transactions, localTransactions, rows: this.#local.rows };
  }

  /** false: foreign keys and triggers are in force, because the role may not switch them off. */
  get replicaRole(): boolean {
    return this.#session.replicaRole;
  }

  /** null: not permitted, so what is applied here would be shipped back by a shipper of this database. */
  get origin(): string | null {
    return this.#session.origin;
  }

  /** Resolves when all of it is committed here, except a transaction whose final batch is to come. */
  async apply(batches: readonly IncomingBatch[]): Promise<void> {
    await this.stage(batches);
    await this.committed();
  }

  /**
   * As `apply`, but its last local transaction may still be committing: `committed` tells. What was staged before
   * is committed.
   */
  stage(batches: readonly IncomingBatch[]): Promise<void> {
    assert(!this.#broken, 'an applier is used up after an error');
    return this.#used(() => this.#apply(batches));
  }

  /** Resolves when everything staged is committed here. */
  committed(): Promise<void> {
    return this.#used(() => this.#committed());
  }

  /** Stores how far the journal has been read, so that a restart does not read it again. */
  saveProgress(position: JournalPosition): Promise<void> {
    assert(!this.#broken, 'an applier is used up after an error');
    if (!this.#assembler.unfinished) this.#passed = position;
    return this.#used(async () => {
      await this.#committed();
      if (this.#local.isOpen || this.#passed === this.#position.journal) return;
      await this.#move({ ...this.#position, journal: this.#passed });
    });
  }

  /** Rolls back a transaction whose final part has not come. Should it come: CORRUPT, and read again. */
  async abandonUnfinished(): Promise<void> {
    await this.#used(async () => {
      await this.#committed();
      if (this.#local.isOpen) await this.#rollback();
    });
    this.#assembler.reset();
  }

  async close(): Promise<void> {
    this.#broken = true;
    await this.#session.close();
  }

  /** After an error of it the applier is used up. */
  async #used(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#broken = true;
      throw error instanceof FlightError ? fromPostgres(error.cause) : fromPostgres(error);
    }
  }

  async #apply(batches: readonly IncomingBatch[]): Promise<void> {
    /** Of the newest whole transaction that is not committed here. */
    let last: TransactionHeader | null = null;
    let changes = 0;
    const former = this.#committing;
    const flush = async (): Promise<void> => {
      if (last !== null) await this.#commit(last);
      last = null;
    };
    for (const { position, records } of batches) {
      const wasUnfinished = this.#assembler.unfinished;
      const part = this.#assembler.push(records);
      if (part.kind === 'handover') {
        await flush();
        this.#passed = position;
        await this.#handOver(part.handover);
        continue;
      }
      if (part.kind !== 'part') {
        if (!wasUnfinished) this.#passed = position;
        continue;
      }
      const { header, first } = part;
      if (first) {
        // Unfinished, and superseded by this attempt.
        if (last === null && this.#local.isOpen) await this.#rollback();
        this.#checkOrder(header, last);
        if (!header.final) await flush();
      }
      if (this.#isApplied(header)) {
        if (header.final) this.#passed = position;
        continue;
      }
      await this.#collect(part.messages, header);
      if (!header.final) {
        await this.#local.settle();
        continue;
      }
      this.#passed = position;
      this.#collected += 1;
      last = header;
      // A new value of an enum, for one, can be used only when its definition is committed.
      if (!first || this.#executed) await flush();
      changes += records.length;
      if (changes < CHANGES_A_TURN) continue;
      changes = 0;
      await nextTurn();
    }
    await flush();
    if (former !== null) await former;
  }

  /** Only from one source, from its beginning, and forwards. */
  #checkOrder(header: TransactionHeader, last: TransactionHeader | null): void {
    const source = last?.source ?? this.#ahead.source;
    if (source === null) {
      if (header.snapshot) return;
      throw new MeridianError(
        'OUT_OF_RANGE',
        `the first transaction read, at ${formatLsn(header.commitLsn)}, is not the initial copy: ` +
          'the beginning of the stream is gone',
      );
    }
    if (sameSource(source, header.source)) return;
    throw new MeridianError(
      'REFUSED',
      `the stream now comes from ${describeSource(header.source)}; this target holds ` +
        `${describeSource(source)}. Empty the tables and the row of meridian.applied to start over`,
    );
  }

  /** The stream goes on from another source; what the one before left unfinished is void. */
  async #handOver({ from, source, lsn }: Handover): Promise<void> {
    await this.#committed();
    if (this.#local.isOpen) await this.#rollback();
    const current = this.#position.source;
    if (current === null || !sameSource(current, from)) {
      throw new MeridianError(
        'REFUSED',
        `${describeSource(from)} hands over to ${describeSource(source)}, but this target holds ` +
          `${current === null ? 'nothing' : describeSource(current)}: start over with empty tables`,
      );
    }
    const isNews = this.#passed.timestamp > this.#position.historyUntil;
    const isSelf = isNews && this.#self !== null && sameSource(this.#self, source);
    const role: Role = isSelf ? 'primary' : 'replica';
    const { past } = this.#assembler;
    const place = { source, commitLsn: lsn, endLsn: lsn, journal: this.#passed };
    const next = { ...this.#position, ...place, role, past };
    const results = await this.#session.flight([
      { sql: 'BEGIN' },
      this.#moveQuery(next),
      { sql: ROLE_SQL, parameters: [this.#name, role, JSON.stringify(past), String(next.epoch)] },
      { sql: 'COMMIT' },
    ]);
    this.#checkMoved(results[1]?.rowCount);
    this.#position = next;
    this.#ahead = next;
    this.#descriptions.clear();
    this.#relations.clear();
  }

  /** By the end, not the start: a commit record may begin where the initial copy stands. */
  #isApplied(header: TransactionHeader): boolean {
    return header.commitLsn < this.#ahead.endLsn;
  }

  async #collect(messages: readonly Message[], header: TransactionHeader): Promise<void> {
    for (const message of messages) {
      switch (message.kind) {
        case 'relation':
          // The assembler gives the same object for the same description.
          if (this.#descriptions.get(message.id) !== message || !this.#relations.has(message.id)) {
            this.#descriptions.set(message.id, message);
            this.#relations.set(message.id, await this.#table(message));
          }
          if (header.snapshot) await this.#refuseRows(message);
          break;
        case 'insert':
        case 'update':
        case 'delete':
          this.#local.add({
            change: message,
            tables: [this.#relations.get(message.relation) ?? (await this.#load(message.relation))],
          });
          break;
        case 'truncate': {
          const tables: TargetTable[] = [];
          for (const id of message.relations) {
            tables.push(this.#relations.get(id) ?? (await this.#load(id)));
          }
          this.#local.add({ change: message, tables });
          break;
        }
        case 'message': {
          const definition = decodeDefinition(message);
          const following = followSequences(message);
          if (definition === null && following === null) break;
          // Everything before it, in the tables as they were.
          await this.#local.settle();
          if (definition !== null) await this.#define(definition);
          if (following !== null) await this.#session.flight([following]);
          this.#executed = true;
          break;
        }
        case 'begin':
        case 'commit':
        case 'type':
        case 'origin':
          break;
      }
    }
  }

  /** The table was described before the last definition. */
  async #load(id: number): Promise<TargetTable> {
    const relation = this.#descriptions.get(id);
    if (relation === undefined) {
      throw new MeridianError('INVALID', `a change of table ${id}, which was not described`);
    }
    const table = await this.#table(relation);
    this.#relations.set(id, table);
    return table;
  }

  /** Runs it in the open local transaction, under the settings of the source. */
  async #define(definition: Definition): Promise<void> {
    // A body may name what is defined later.
    const wanted = new Map([...definition.settings, ['check_function_bodies', 'off']]);
    const names = [...wanted.keys()];
    const client = this.#session.client;
    const { rows } = await client.query<{ name: string; setting: string }>(
      'SELECT name, current_setting(name) AS setting FROM unnest($1::text[]) AS name',
      [names],
    );
    const set = (name: string, setting: string): Query => ({
      sql: 'SELECT set_config($1, $2, true)',
      parameters: [name, setting],
    });
    try {
      await this.#session.flight([
        ...[...wanted].map(([name, setting]) => set(name, setting)),
        { sql: insideTransaction(definition) },
        ...rows.map(({ name, setting }) => set(name, setting)),
      ]);
    } catch (error) {
      if (!(error instanceof FlightError) || error.sqlState === null) throw error;
      throw definitionConflict(definition, error);
    }
    this.#tables.clear();
    this.#relations.clear();
  }

  async #table(relation: Relation): Promise<TargetTable> {
    const { schema, table, identity, columns } = relation;
    const shape = [schema, table, identity, ...columns.map(({ key, name }) => [key, name])];
    const id = JSON.stringify(shape);
    const known = this.#tables.get(id);
    if (known !== undefined) return known;
    const loaded = await loadTargetTable(await this.#settled(), relation);
    this.#tables.set(id, loaded);
    return loaded;
  }

  /** To ask something: behind a statement that did not fit, Postgres would answer nothing. */
  async #settled(): Promise<PostgresClient> {
    await this.#local.ended();
    if (this.#local.isOpen) await this.#local.settle();
    return this.#session.client;
  }

  /** The initial copy goes into empty tables only: what else is there is not ours to judge. */
  async #refuseRows(relation: Relation): Promise<void> {
    const { name } = await this.#table(relation);
    const client = await this.#settled();
    const { rowCount } = await client.query(`SELECT FROM ${name} LIMIT 1`);
    if (rowCount === 0) return;
    throw new MeridianError(
      'CONFLICT',
      `the initial copy needs ${name} to be empty, and it is not: TRUNCATE it to start over`,
      { details: { change: 'snapshot', table: name } },
    );
  }

  /** Begins to commit the local transaction, with the position; when this resolves the one before is. */
  async #commit(header: TransactionHeader): Promise<void> {
    await this.#committed();
    const { source, commitLsn, endLsn, commitTime } = header;
    const place = { source, commitLsn, endLsn, commitTime };
    const next = { ...this.#position, ...place, journal: this.#passed };
    const move = this.#moveQuery(next);
    // Marked in the same breath: a statement less in every local transaction.
    const marks = [formatLsn(endLsn), String(commitTime / 1e6)];
    const marked = { sql: MOVE_AND_MARK_SQL, parameters: [...move.parameters, ...marks] };
    this.#executed = false;
    this.#ahead = next;
    const collected = this.#collected;
    const ending = this.#local.commit(this.#session.origin === null ? move : marked);
    this.#committing = ending.then(() => {
      this.#position = next;
      this.#transactions = collected;
      this.#localTransactions += 1;
      this.#committing = null;
    });
    this.#committing.catch(() => undefined); // thrown by whoever waits for it
  }

  async #committed(): Promise<void> {
    if (this.#committing !== null) await this.#committing;
  }

  async #rollback(): Promise<void> {
    await this.#local.rollback();
    this.#executed = false;
  }

  async #move(to: AppliedPosition): Promise<void> {
    const [result] = await this.#session.flight([this.#moveQuery(to)]);
    this.#checkMoved(result?.rowCount);
    this.#position = to;
    this.#ahead = to;
  }

  #moveQuery(to: AppliedPosition): Query & { readonly parameters: readonly (string | null)[] } {
    return { sql: MOVE_SQL, parameters: moveParameters(this.#name, this.#position, to) };
  }

  #checkMoved(rowCount: number | null | undefined): void {
    if (rowCount !== 1) throw this.#fenced();
  }

  #fenced(): MeridianError {
    return fenced(this.#name, this.#position.epoch);
  }
}

function definitionConflict(definition: Definition, error: FlightError): MeridianError {
  const { tag, statement } = definition;
  return new MeridianError(
    'CONFLICT',
    `cannot run the definition ${JSON.stringify(statement)}: ${error.message}. Nothing was skipped; ` +
      'repair the target and start again',
    { details: { change: tag, statement, sqlState: error.sqlState ?? '' }, cause: error.cause },
  );
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
