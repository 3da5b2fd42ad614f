/**
 * The statements of a table, by what they change. Made once: to build the text of one costs more than a row,
 * and that two changes have the same shape, so can be joined, is then a comparison of pointers.
 */
import { at } from '../values/assert.ts';
import { deleteSql, insertSql, updateSql } from './target-table.ts';
import type { TargetTable } from './target-table.ts';
import type { Tuple } from './tuple.ts';

/** Parameters of the statement: the columns `key` of the old row, then the columns `values` of the new one. */
export interface Shape {
  readonly sql: string;
  readonly key: readonly number[];
  readonly values: readonly number[];
}

interface Shapes {
  insert?: Shape;
  delete?: Shape;
  /** Of a row that was sent whole, whose key stays. */
  update?: Shape;
  /** Of the others, by the columns that are set. */
  readonly updates: Map<string, Shape>;
}

export class TableShapes {
  /** Forgotten with the tables they are about. */
  readonly #byTable = new WeakMap<TargetTable, Shapes>();

  insert(table: TargetTable): Shape {
    const shapes = this.#of(table);
    const all = (): number[] => table.columns.map((_, i) => i);
    return (shapes.insert ??= shape(insertSql(table), [], all()));
  }

  delete(table: TargetTable): Shape {
    return (this.#of(table).delete ??= shape(deleteSql(table), table.key, []));
  }

  /** `moves`: the key changes. Without `values` there is nothing to be done. */
  update(table: TargetTable, row: Tuple, moves: boolean): Shape {
    const shapes = this.#of(table);
    if (row.complete && !moves) {
      return (shapes.update ??= this.#updateOf(shapes, table, row, moves));
    }
    return this.#updateOf(shapes, table, row, moves);
  }

  #updateOf(shapes: Shapes, table: TargetTable, row: Tuple, moves: boolean): Shape {
    const set: number[] = [];
    for (let i = 0; i < row.length; i++) {
      if (row.isUnchanged(i)) continue;
      const isKey = table.unique && table.key.includes(i);
      if (isKey ? moves : !at(table.columns, i).identityAlways) set.push(i);
    }
    const id = set.join();
    let found = shapes.updates.get(id);
    if (found === undefined) {
      found = shape(set.length === 0 ? '' : updateSql(table, set), table.key, set);
      shapes.updates.set(id, found);
    }
    return found;
  }

  #of(table: TargetTable): Shapes {
    let shapes = this.#byTable.get(table);
    if (shapes === undefined) {
      shapes = { updates: new Map() };
      this.#byTable.set(table, shapes);
    }
    return shapes;
  }
}

function shape(sql: string, key: readonly number[], values: readonly number[]): Shape {
  return { sql, key, values };
}
