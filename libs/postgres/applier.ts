/**
 * Applies batches of the journal to a target database, each source transaction exactly once and
 * whole, in order.
 *
 * Consecutive source transactions that wait together become one local transaction. Readers then see
 * a prefix of the source's history that is a few transactions further, never a part of one. A
 * transaction of many batches is executed as they arrive, in a local one that stays open until its
 * final batch is there; if that never comes, or another attempt follows, it is rolled back.
 *
 * A change that does not fit (row missing, key already there, value refused) stops it with CONFLICT,
 * naming table and key. It never skips, never overwrites. After any error the applier is used up:
 * the owner closes it and opens another, which reads the position that is true.
 */
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import { MOVE_SQL, ROLE_SQL, fenced, moveParameters, takeOver } from './applied-position.ts';
import type { AppliedPosition, JournalPosition, Role } from './applied-position.ts';
import { describeSource, sameSource } from './change-format.ts';
import type { Handover, Source, TransactionHeader } from './change-format.ts';
import { ChangePlanner, SqlCache } from './change-planner.ts';
import type { BoundChange, Statement } from './change-planner.ts';
import { fromPostgres } from './connection.ts';
import { decodeDefinition, insideTransaction } from './definitions.ts';
import type { Definition } from './definitions.ts';
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

const SAVEPOINT = 'meridian_flight';

export class Applier {
  readonly #name: string;
  readonly #session: TargetSession;
  readonly #self: Source | null;
  readonly #assembler: TransactionAssembler;
  readonly #sql = new SqlCache();
  readonly #tables = new Map<string, TargetTable>();
  /** Tables by the source's oid, as last described; emptied by a definition, which may change them. */
  readonly #relations = new Map<number, TargetTable>();
  readonly #descriptions = new Map<number, Relation>();
  #position: AppliedPosition;
  /** After everything that needs not be read again. */
  #passed: JournalPosition;
  #inTransaction = false;
  #savepoint = false;
  /** The open local transaction has executed something: it takes no further source transaction. */
  #executed = false;
  #broken = false;
  #counters = { transactions: 0, localTransactions: 0, rows: 0 };

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
    this.#position = position;
    this.#assembler = new TransactionAssembler(position.past);
    this.#passed = position.journal;
  }

  /** What the target holds. */
  get position(): AppliedPosition {
    return this.#position;
  }

  get counters(): ApplierCounters {
    return this.#counters;
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
    assert(!this.#broken, 'an applier is used up after an error');
    try {
      await this.#apply(batches);
    } catch (error) {
      this.#broken = true;
      throw error instanceof FlightError ? fromPostgres(error.cause) : fromPostgres(error);
    }
  }

  /** Stores how far the journal has been read, so that a restart does not read it again. */
  async saveProgress(position: JournalPosition): Promise<void> {
    assert(!this.#broken, 'an applier is used up after an error');
    if (!this.#assembler.unfinished) this.#passed = position;
    if (this.#inTransaction || this.#passed === this.#position.journal) return;
    try {
      await this.#move({ ...this.#position, journal: this.#passed });
    } catch (error) {
      this.#broken = true;
      throw error instanceof FlightError ? fromPostgres(error.cause) : fromPostgres(error);
    }
  }

  /** Rolls back a transaction whose final part has not come. Should it come: CORRUPT, and read again. */
  async abandonUnfinished(): Promise<void> {
    try {
      if (this.#inTransaction) await this.#rollback();
    } catch (error) {
      this.#broken = true;
      throw error instanceof FlightError ? fromPostgres(error.cause) : fromPostgres(error);
    }
    this.#assembler.reset();
  }

  async close(): Promise<void> {
    this.#broken = true;
    await this.#session.close();
  }

  async #apply(batches: readonly IncomingBatch[]): Promise<void> {
    let changes: BoundChange[] = [];
    let last: TransactionHeader | null = null;
    const flush = async (): Promise<void> => {
      if (last !== null) await this.#commit(last, changes);
      changes = [];
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
        if (this.#inTransaction) await this.#rollback(); // superseded by this attempt
        this.#checkOrder(header, last);
        if (!header.final) await flush();
      }
      if (this.#isApplied(header)) {
        if (header.final) this.#passed = position;
        continue;
      }
      await this.#collect(part.messages, header, changes);
      if (!header.final) {
        await this.#execute(changes);
        changes = [];
        continue;
      }
      this.#passed = position;
      this.#counters.transactions += 1;
      last = header;
      // A new value of an enum, for one, can be used only when its definition is committed.
      if (!first || this.#executed) await flush();
    }
    await flush();
  }

  /** Only from one source, from its beginning, and forwards. */
  #checkOrder(header: TransactionHeader, last: TransactionHeader | null): void {
    const source = last?.source ?? this.#position.source;
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
    if (this.#inTransaction) await this.#rollback();
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
    this.#descriptions.clear();
    this.#relations.clear();
  }

  /** By the end, not the start: a commit record may begin where the initial copy stands. */
  #isApplied(header: TransactionHeader): boolean {
    return header.commitLsn < this.#position.endLsn;
  }

  async #collect(
    messages: readonly Message[],
    header: TransactionHeader,
    changes: BoundChange[],
  ): Promise<void> {
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
          changes.push({
            change: message,
            tables: [this.#relations.get(message.relation) ?? (await this.#load(message.relation))],
          });
          break;
        case 'truncate': {
          const tables: TargetTable[] = [];
          for (const id of message.relations) {
            tables.push(this.#relations.get(id) ?? (await this.#load(id)));
          }
          changes.push({ change: message, tables });
          break;
        }
        case 'message': {
          const definition = decodeDefinition(message);
          const following = followSequences(message);
          if (definition === null && following === null) break;
          // Everything before it, in the tables as they were.
          await this.#execute(changes);
          changes.length = 0;
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
    const loaded = await loadTargetTable(this.#session.client, relation);
    this.#tables.set(id, loaded);
    return loaded;
  }

  /** The initial copy goes into empty tables only: what else is there is not ours to judge. */
  async #refuseRows(relation: Relation): Promise<void> {
    const { name } = await this.#table(relation);
    const { rowCount } = await this.#session.client.query(`SELECT FROM ${name} LIMIT 1`);
    if (rowCount === 0) return;
    throw new MeridianError(
      'CONFLICT',
      `the initial copy needs ${name} to be empty, and it is not: TRUNCATE it to start over`,
      { details: { change: 'snapshot', table: name } },
    );
  }

  /** Executes what is left of the local transaction and commits it together with the position. */
  async #commit(header: TransactionHeader, changes: readonly BoundChange[]): Promise<void> {
    const { source, commitLsn, endLsn, commitTime } = header;
    const next = {
      ...this.#position,
      ...{ source, commitLsn, endLsn, commitTime },
      journal: this.#passed,
    };
    await this.#execute(changes, [
      this.#moveQuery(next),
      ...(this.#session.origin === null
        ? []
        : [
            {
              sql: 'SELECT pg_replication_origin_xact_setup($1::pg_lsn, to_timestamp($2::float8))',
              parameters: [formatLsn(endLsn), String(commitTime / 1e6)],
            },
          ]),
    ]);
    const [commit] = await this.#session.flight([{ sql: 'COMMIT' }]);
    this.#inTransaction = false;
    this.#savepoint = false;
    this.#executed = false;
    if (commit?.command !== 'COMMIT') {
      throw new MeridianError('UNAVAILABLE', 'Postgres rolled the transaction back at COMMIT');
    }
    this.#position = next;
    this.#counters.localTransactions += 1;
  }

  /**
   * Runs the changes in the open local transaction, or opens it. First joined into few statements;
   * if that fails, again one by one, which either works or names the row.
   */
  async #execute(changes: readonly BoundChange[], head: readonly Query[] = []): Promise<void> {
    const opening: Query[] = [...head];
    if (!this.#inTransaction) opening.unshift({ sql: 'BEGIN' });
    else if (this.#savepoint) opening.unshift({ sql: `RELEASE ${SAVEPOINT}` });
    opening.push({ sql: `SAVEPOINT ${SAVEPOINT}` });
    const statements = this.#plan(changes, true);
    this.#inTransaction = true;
    this.#savepoint = true;
    let fits: boolean;
    try {
      const results = await this.#session.flight([...opening, ...statements]);
      const [first] = head;
      if (first !== undefined) this.#checkMoved(results[opening.indexOf(first)]?.rowCount);
      fits = statements.every(
        ({ rows }, i) => rows === null || results[opening.length + i]?.rowCount === rows,
      );
    } catch (error) {
      const about = error instanceof FlightError && error.index >= opening.length;
      if (!about || !isAboutRows(error)) throw error;
      fits = false;
    }
    if (!fits) await this.#executeOneByOne(changes);
    this.#counters.rows += changes.length;
  }

  async #executeOneByOne(changes: readonly BoundChange[]): Promise<void> {
    await this.#session.flight([{ sql: `ROLLBACK TO ${SAVEPOINT}` }]);
    for (const statement of this.#plan(changes, false)) {
      let count: number | null;
      try {
        const [result] = await this.#session.flight([statement]);
        count = result?.rowCount ?? null;
      } catch (error) {
        if (error instanceof FlightError && isAboutRows(error)) throw conflict(statement, error);
        throw error;
      }
      if (statement.rows !== null && count !== statement.rows) throw conflict(statement, null);
    }
  }

  #plan(changes: readonly BoundChange[], joined: boolean): Statement[] {
    const reorder = joined && this.#session.replicaRole;
    const planner = new ChangePlanner({ joined, reorder }, this.#sql);
    for (const change of changes) planner.add(change);
    return planner.statements();
  }

  async #rollback(): Promise<void> {
    await this.#session.flight([{ sql: 'ROLLBACK' }]);
    this.#inTransaction = false;
    this.#savepoint = false;
    this.#executed = false;
  }

  async #move(to: AppliedPosition): Promise<void> {
    const [result] = await this.#session.flight([this.#moveQuery(to)]);
    this.#checkMoved(result?.rowCount);
    this.#position = to;
  }

  #moveQuery(to: AppliedPosition): Query {
    return { sql: MOVE_SQL, parameters: moveParameters(this.#name, this.#position, to) };
  }

  #checkMoved(rowCount: number | null | undefined): void {
    if (rowCount !== 1) throw fenced(this.#name, this.#position.epoch);
  }
}

/** The statement was understood and refused for what it says: data, constraints, the table's shape. */
function isAboutRows(error: FlightError): boolean {
  return error.sqlState !== null && /^(21|22|23|42|44|P0)/.test(error.sqlState);
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

function conflict(statement: Statement, error: FlightError | null): MeridianError {
  const { change, table, key } = statement;
  const why = error?.message ?? 'no such row in the target';
  return new MeridianError(
    'CONFLICT',
    `cannot ${change} in ${table.name}${key === '' ? '' : ` (${key})`}: ${why}. Nothing was skipped; ` +
      'repair the target and start again',
    {
      details: { change, table: table.name, key, sqlState: error?.sqlState ?? '' },
      cause: error?.cause,
    },
  );
}
