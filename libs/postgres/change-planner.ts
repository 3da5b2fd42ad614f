/**
 * From decoded changes to few statements: neighbouring changes of one table and one shape become one
 * statement over arrays. 100 rows a statement run 15 times as fast as one. A statement is handed out as soon as
 * nothing more can join it, so that Postgres executes the first ones while the next are still being made.
 *
 * What may be joined: inserts with inserts; updates with updates and deletes with deletes as long as
 * no row occurs twice and no key changes. The result is then the same as one after the other, except
 * that a unique index may object to an order that only exists inside the statement; whoever executes
 * tries again with `joined: false` before believing an error.
 *
 * A row that is updated again takes the place of its former update, where nothing could have seen that one: no
 * trigger fires, and the transaction is not over. Else the row that every transaction counts up would be a statement
 * for each, and a chain of dead versions that Postgres walks along for each.
 *
 * With `reorder`, changes of different tables may pass each other (never those of one table). That
 * is allowed when foreign keys are not checked, and nobody sees the middle of a transaction.
 */
import { MeridianError } from '../errors/errors.ts';
import { at } from '../values/assert.ts';
import type { Change, Delete, Insert, Truncate, Update } from './pgoutput.ts';
import type { Shape, TableShapes } from './table-shapes.ts';
import type { TargetTable } from './target-table.ts';
import { TextArray } from './text-array.ts';
import type { Tuple } from './tuple.ts';

/** A change and the tables it is about: one, but for a truncate. */
export interface BoundChange {
  readonly change: Change;
  readonly tables: readonly TargetTable[];
}

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly Buffer[];
  /** Rows it must affect; null: does not matter. */
  readonly rows: number | null;
  readonly change: Change['kind'];
  readonly table: TargetTable;
  /** Its first row, to name it in an error; null: it has none. */
  readonly first: Tuple | null;
}

export interface PlanOptions {
  readonly joined: boolean;
  readonly reorder: boolean;
}

interface Group {
  readonly table: TargetTable;
  readonly change: Change['kind'];
  readonly shape: Shape;
  readonly rows: Row[];
  /** Where each row is, where none may occur twice. */
  readonly places: Map<string | number, number>;
  bytes: number;
}

interface Row {
  /** By which it is found. */
  readonly old: Tuple;
  readonly values: Tuple;
  /** What tells it apart, where none may occur twice. */
  readonly id: string | number | null;
  /** With others of its kind. */
  readonly joinable: boolean;
}

const GROUP_ROWS_MAX = 1_000;
const GROUP_BYTES_MAX = 1024 * 1024;
const KEY_CHARS_MAX = 300;
/** Without `reorder` there is one group for all tables. */
const ANY_TABLE = '';

export class ChangePlanner {
  readonly #options: PlanOptions;
  readonly #emit: (statement: Statement) => void;
  readonly #shapes: TableShapes;
  /** What may still be joined, by the table's name; in the order in which they began. */
  readonly #groups = new Map<string, Group>();

  constructor(options: PlanOptions, shapes: TableShapes, emit: (statement: Statement) => void) {
    this.#options = options;
    this.#shapes = shapes;
    this.#emit = emit;
  }

  add({ change, tables }: BoundChange): void {
    switch (change.kind) {
      case 'insert':
        this.#insert(change, at(tables, 0));
        return;
      case 'update':
        this.#update(change, at(tables, 0));
        return;
      case 'delete':
        this.#delete(change, at(tables, 0));
        return;
      case 'truncate':
        this.#truncate(change, tables);
        return;
    }
  }

  /** Hands out what is left. */
  flush(): void {
    for (const group of this.#groups.values()) this.#hand(group);
    this.#groups.clear();
  }

  /** Forgets what is left. */
  reset(): void {
    this.#groups.clear();
  }

  #insert(change: Insert, table: TargetTable): void {
    const values = checked(change.values, table);
    requireSent(values, table, null);
    const shape = this.#shapes.insert(table);
    const joinable = values.length > 0;
    this.#put(table, 'insert', shape, { old: values, values, id: null, joinable });
  }

  #update(change: Update, table: TargetTable): void {
    const values = checked(change.values, table);
    const old = change.old === null ? values : checked(change.old.values, table);
    requireSent(old, table, table.key);
    const moves = change.old !== null && table.unique && keyChanges(table, old, values);
    const shape = this.#shapes.update(table, values, moves);
    if (shape.values.length === 0) return;
    const joinable = table.unique && !moves;
    this.#put(table, 'update', shape, { old, values, id: old.identity(table.key), joinable });
  }

  #delete(change: Delete, table: TargetTable): void {
    const old = checked(change.old.values, table);
    requireSent(old, table, table.key);
    const shape = this.#shapes.delete(table);
    const id = old.identity(table.key);
    this.#put(table, 'delete', shape, { old, values: old, id, joinable: table.unique });
  }

  #truncate(change: Truncate, tables: readonly TargetTable[]): void {
    const names = tables.map(({ name }) => `ONLY ${name}`).join(', ');
    const options =
      (change.restartIdentity ? ' RESTART IDENTITY' : '') + (change.cascade ? ' CASCADE' : '');
    this.flush(); // nothing passes it
    const sql = `TRUNCATE ${names}${options}`;
    const table = at(tables, 0);
    this.#emit({ sql, parameters: [], rows: null, change: 'truncate', table, first: null });
  }

  #put(table: TargetTable, change: Change['kind'], shape: Shape, row: Row): void {
    const { id } = row;
    const joinable = row.joinable && this.#options.joined;
    const slot = this.#options.reorder ? table.name : ANY_TABLE;
    const last = this.#groups.get(slot);
    if (joinable && last?.shape === shape) {
      const place = id === null ? undefined : last.places.get(id);
      if (place === undefined || this.#mayReplace(last, place, row)) {
        put(last, row, place ?? last.rows.length);
        if (last.rows.length < GROUP_ROWS_MAX && last.bytes < GROUP_BYTES_MAX) return;
        this.#groups.delete(slot);
        this.#hand(last);
        return;
      }
    }
    if (last !== undefined) {
      this.#groups.delete(slot);
      this.#hand(last);
    }
    const group: Group = { table, change, shape, rows: [], places: new Map(), bytes: 0 };
    put(group, row, 0);
    if (joinable) this.#groups.set(slot, group);
    else this.#hand(group);
  }

  /** The update of the same row (not only of one that looks like it) that nobody has seen. */
  #mayReplace({ table, change, rows }: Group, place: number, row: Row): boolean {
    if (change !== 'update' || table.watched || !this.#options.reorder) return false;
    const before = at(rows, place).old;
    return table.key.every((i) => before.sameValue(i, row.old));
  }

  #hand({ table, change, shape, rows }: Group): void {
    const key = shape.key.map((i) => columnOf(rows, i, true));
    const values = shape.values.map((i) => columnOf(rows, i, false));
    const first = at(rows, 0).old;
    const parameters = [...key, ...values];
    this.#emit({ sql: shape.sql, parameters, rows: rows.length, change, table, first });
  }
}

/** Of the row that a statement begins with. */
export function describeKey({ table, first }: Statement): string {
  if (first === null) return '';
  const text = table.key
    .map((i) => {
      const value = first.value(i);
      return `${at(table.columns, i).name}=${typeof value === 'string' ? value : 'NULL'}`;
    })
    .join(', ');
  return text.length > KEY_CHARS_MAX ? `${text.slice(0, KEY_CHARS_MAX)}…` : text;
}

function put(group: Group, row: Row, place: number): void {
  group.rows[place] = row;
  if (row.id !== null) group.places.set(row.id, place);
  group.bytes += row.values.bytes.length;
}

function columnOf(rows: readonly Row[], i: number, ofOld: boolean): Buffer {
  let bytes = 0;
  for (const { old, values } of rows) bytes += (ofOld ? old : values).bytesOf(i);
  const array = new TextArray(bytes);
  for (const { old, values } of rows) array.push(ofOld ? old : values, i);
  return array.parameter();
}

function checked(values: Tuple, table: TargetTable): Tuple {
  if (values.length === table.columns.length) return values;
  throw new MeridianError(
    'INVALID',
    `a row of ${values.length} values for ${table.name}, described with ${table.columns.length}`,
  );
}

/** `columns`: null: all of them. */
function requireSent(row: Tuple, table: TargetTable, columns: readonly number[] | null): void {
  if (row.complete || columns?.some((i) => row.isUnchanged(i)) === false) return;
  throw new MeridianError('INVALID', `a value of ${table.name} that had to be sent was not`);
}

function keyChanges(table: TargetTable, old: Tuple, values: Tuple): boolean {
  return table.key.some((i) => !values.isUnchanged(i) && !values.sameValue(i, old));
}
