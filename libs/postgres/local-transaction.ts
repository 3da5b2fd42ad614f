/**
 * The local transaction in which changes are applied: opened with the first of them, committed together with
 * the position. Owns what stands between a change and the database: joining (change-planner.ts), sending
 * ahead of the answers, and the second attempt.
 *
 * Changes are joined into few statements, sent as they become full, so that Postgres works while the next are
 * made. If one fails, or does not affect the rows it must, everything since the last `settle` is taken back
 * and done again one by one, which either works or names the row: CONFLICT. What does not fit is never skipped.
 *
 * While one is being ended (its last answers, then COMMIT), the next is made already: its statements are held until
 * the COMMIT is answered, so that nothing is ever executed behind one that failed.
 *
 * It does not decide what belongs into one transaction. After any error it is used up, as is its session.
 */
import type pg from 'pg';
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import { ChangePlanner, describeKey } from './change-planner.ts';
import type { BoundChange, Statement } from './change-planner.ts';
import { TableShapes } from './table-shapes.ts';
import { FlightError } from './target-session.ts';
import type { Flight, Query, TargetSession } from './target-session.ts';

/** Whose transactions these are: the position (applied-position.ts). */
export interface Holder {
  /** Gives a row for as long as nobody else has taken over. */
  readonly check: () => Query;
  readonly fenced: () => MeridianError;
}

interface Sent {
  readonly statement: Statement;
  /** In the flight. */
  readonly place: number;
}

/** One transaction, from its first change to COMMIT. */
class Work {
  flight: Flight | null = null;
  open = false;
  savepoint = false;
  /** Since the last `settle`. */
  changes: BoundChange[] = [];
  sent: Sent[] = [];
}

const SAVEPOINT = 'meridian_flight';

export class LocalTransaction {
  readonly #session: TargetSession;
  readonly #holder: Holder;
  readonly #shapes = new TableShapes();
  readonly #planner: ChangePlanner;
  #work = new Work();
  /** The end of the one before, under way, and what waits for it. */
  #ending: Promise<void> | null = null;
  #held: Statement[] = [];
  #rows = 0;

  constructor(session: TargetSession, holder: Holder) {
    this.#session = session;
    this.#holder = holder;
    const options = { joined: true, reorder: session.replicaRole };
    this.#planner = new ChangePlanner(options, this.#shapes, (statement) => {
      this.#send(statement);
    });
  }

  /** It has changes, or has had. */
  get isOpen(): boolean {
    return this.#work.open || this.#work.changes.length > 0;
  }

  /** Rows changed so far, in all transactions. */
  get rows(): number {
    return this.#rows;
  }

  add(change: BoundChange): void {
    this.#work.changes.push(change);
    this.#planner.add(change);
  }

  /** Opens it if need be; resolves when everything added is executed and fits. */
  async settle(): Promise<void> {
    await this.ended();
    this.#planner.flush();
    await this.#execute(this.#work, null);
  }

  /**
   * Everything added, then `move`, which must affect one row, the position, then COMMIT. What is added from now on
   * belongs to the next one; it can be ended when this has resolved.
   */
  async commit(move: Query): Promise<void> {
    assert(this.#ending === null, 'one transaction ends at a time');
    this.#planner.flush();
    const work = this.#work;
    this.#work = new Work();
    this.#ending = this.#end(work, move);
    await this.#ending;
  }

  /** Resolves when no end is under way; then nothing is held any more. */
  async ended(): Promise<void> {
    if (this.#ending !== null) await this.#ending;
  }

  async rollback(): Promise<void> {
    await this.ended();
    await this.#session.flight([{ sql: 'ROLLBACK' }]);
    this.#planner.reset();
    this.#work = new Work();
  }

  async #end(work: Work, move: Query): Promise<void> {
    await this.#execute(work, move);
    const [commit] = await this.#session.flight([{ sql: 'COMMIT' }]);
    if (commit?.command !== 'COMMIT') {
      throw new MeridianError('UNAVAILABLE', 'Postgres rolled the transaction back at COMMIT');
    }
    this.#ending = null;
    const held = this.#held;
    this.#held = [];
    for (const statement of held) this.#send(statement);
  }

  async #execute(work: Work, move: Query | null): Promise<void> {
    const flight = work.flight ?? this.#depart(work);
    const { changes, sent } = work;
    const movedAt = flight.count;
    work.flight = null;
    work.changes = [];
    work.sent = [];
    if (move !== null) flight.send(move);
    const results = await landed(flight, sent);
    let moved = results?.[movedAt];
    if (results === null) {
      await this.#oneByOne(work, changes);
      if (move !== null) [moved] = await this.#session.flight([move]);
    }
    if (move !== null && moved?.rowCount !== 1) throw this.#holder.fenced();
    this.#rows += changes.length;
  }

  #send(statement: Statement): void {
    if (this.#ending !== null) {
      this.#held.push(statement);
      return;
    }
    const work = this.#work;
    const flight = work.flight ?? this.#depart(work);
    work.sent.push({ statement, place: flight.count });
    flight.send(statement);
  }

  /** Only what follows something settled needs a savepoint: the rest is taken back by rolling back. */
  #depart(work: Work): Flight {
    const flight = this.#session.depart();
    work.flight = flight;
    if (!work.open) flight.send({ sql: 'BEGIN' });
    else {
      if (work.savepoint) flight.send({ sql: `RELEASE ${SAVEPOINT}` });
      flight.send({ sql: `SAVEPOINT ${SAVEPOINT}` });
      work.savepoint = true;
    }
    work.open = true;
    return flight;
  }

  async #oneByOne(work: Work, changes: readonly BoundChange[]): Promise<void> {
    const back = work.savepoint ? [`ROLLBACK TO ${SAVEPOINT}`] : ['ROLLBACK', 'BEGIN'];
    const results = await this.#session.flight([
      ...back.map((sql) => ({ sql })),
      this.#holder.check(),
    ]);
    // Then it is no wonder that nothing fits: another one has applied it.
    if (results.at(-1)?.rowCount !== 1) throw this.#holder.fenced();
    const statements: Statement[] = [];
    const options = { joined: false, reorder: false };
    const planner = new ChangePlanner(options, this.#shapes, (it) => statements.push(it));
    for (const change of changes) planner.add(change);
    for (const statement of statements) await this.#alone(statement);
  }

  async #alone(statement: Statement): Promise<void> {
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

/** null: one of the statements does not fit. */
async function landed(
  flight: Flight,
  sent: readonly Sent[],
): Promise<readonly pg.QueryResult[] | null> {
  let results: readonly pg.QueryResult[];
  try {
    results = await flight.land();
  } catch (error) {
    const aboutRows = error instanceof FlightError && isAboutRows(error);
    if (aboutRows && sent.some((it) => it.place === error.index)) return null;
    throw error;
  }
  const fits = sent.every(
    (it) => it.statement.rows === null || results[it.place]?.rowCount === it.statement.rows,
  );
  return fits ? results : null;
}

/** The statement was understood and refused for what it says: data, constraints, the table's shape. */
function isAboutRows(error: FlightError): boolean {
  return error.sqlState !== null && /^(21|22|23|42|44|P0)/.test(error.sqlState);
}

function conflict(statement: Statement, error: FlightError | null): MeridianError {
  const { change, table } = statement;
  const key = describeKey(statement);
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
