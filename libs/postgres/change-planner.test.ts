/** Statements, run in the order in which they come, do to rows what the changes do one after the other. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { at } from '../values/assert.ts';
import { ChangePlanner } from './change-planner.ts';
import type { BoundChange, Statement } from './change-planner.ts';
import { decodeMessage, encodeMessage } from './pgoutput.ts';
import type { Change } from './pgoutput.ts';
import { TableShapes } from './table-shapes.ts';
import type { TargetTable } from './target-table.ts';
import type { Tuple } from './tuple.ts';

const TABLES = ['a', 'b'].map((name) => table(name));
const WATCHED = { ...table('w'), watched: true };

type Row = readonly [table: number, id: number, value: number];
interface Step {
  readonly kind: 'insert' | 'update' | 'move' | 'delete' | 'truncate';
  readonly row: Row;
}

/** By table and id. */
type Rows = Map<string, string>;

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step['kind']>('insert', 'insert', 'update', 'update', 'move', 'delete'),
    row: fc.tuple(fc.nat(1), fc.nat(5), fc.nat(99)),
  }),
  { maxLength: 60 },
);
const options = fc.record({ joined: fc.boolean(), reorder: fc.boolean() });

test('whatever is joined and whatever passes what, the rows end up the same', () => {
  fc.assert(
    fc.property(steps, options, (wanted, how) => {
      const { changes, rows } = possible(wanted);
      expect(run(plan(changes, how))).toEqual(rows);
    }),
    { numRuns: 500 },
  );
});

test('also where statements are full before the changes end, and a truncate comes between', () => {
  const ids = Array.from({ length: 2_600 }, (_, i) => i);
  const { changes, rows } = possible([
    ...ids.map((id): Step => ({ kind: 'insert', row: [id % 2, id, 0] })),
    { kind: 'truncate', row: [0, 0, 0] },
    ...ids.map((id): Step => ({ kind: 'insert', row: [id % 2, 10_000 + id, 1] })),
    ...ids.map((id): Step => ({ kind: 'update', row: [id % 2, 10_000 + id, 2] })),
    ...ids.map((id): Step => ({ kind: 'delete', row: [id % 3, 10_000 + id, 2] })),
  ]);
  for (const reorder of [true, false]) {
    const statements = plan(changes, { joined: true, reorder });
    expect(run(statements)).toEqual(rows);
    if (reorder) expect(statements.length).toBeLessThan(20);
    expect(Math.max(...statements.map((it) => it.rows ?? 0))).toBe(reorder ? 1_000 : 1);
  }
});

test('an update of the row that was just updated takes its place, unless something could have seen that one', () => {
  const hot = (target: TargetTable): BoundChange[] =>
    ['7', '8', '7', '7', '07'].map((id, n) => ({
      change: { kind: 'update', relation: 1, old: null, values: tuple(id, n) },
      tables: [target],
    }));
  const [plain] = TABLES;
  const told = (target: TargetTable, how: { joined: boolean; reorder: boolean }): string[] =>
    plan(hot(target), how).map(({ parameters }) =>
      parameters.map((it) => elements(it).join()).join(' '),
    );
  if (plain === undefined) throw new Error('a table is there');
  const one = ['7 0', '8 1', '7 2', '7 3', '07 4'];
  // What reads as the same number may be another row.
  expect(told(plain, { joined: true, reorder: true })).toEqual(['7,8 3,1', '07 4']);
  const twice = ['7,8 0,1', '7 2', '7 3', '07 4'];
  expect(told(WATCHED, { joined: true, reorder: true })).toEqual(twice);
  expect(told(plain, { joined: true, reorder: false })).toEqual(twice);
  expect(told(plain, { joined: false, reorder: true })).toEqual(one);
});

/** Those steps that fit what is there when their turn comes, and what is there in the end. */
function possible(wanted: readonly Step[]): { changes: BoundChange[]; rows: Rows } {
  const rows: Rows = new Map();
  const changes: BoundChange[] = [];
  for (const { kind, row } of wanted) {
    const [number, id, value] = row;
    const target = TABLES[number];
    if (target === undefined) continue;
    const key = `${target.name} ${id}`;
    const place = kind === 'move' ? `${target.name} ${value}` : key;
    if (kind === 'truncate') {
      for (const it of [...rows.keys()]) if (it.startsWith(target.name)) rows.delete(it);
    } else if (kind === 'insert' ? rows.has(key) : !rows.has(key)) continue;
    else if (kind === 'move' && rows.has(place)) continue;
    if (kind !== 'insert' && kind !== 'update') rows.delete(key);
    if (kind === 'insert' || kind === 'update' || kind === 'move') rows.set(place, String(value));
    changes.push({ change: change(kind, id, value), tables: [target] });
  }
  return { changes, rows };
}

function change(kind: Step['kind'], id: number, value: number): Change {
  const relation = 1;
  switch (kind) {
    case 'insert':
      return { kind, relation, values: tuple(id, value) };
    case 'update':
      return { kind, relation, old: null, values: tuple(id, value) };
    case 'move':
      return {
        ...{ kind: 'update', relation, values: tuple(value, value) },
        old: { kind: 'key', values: tuple(id, null) },
      };
    case 'delete':
      return { kind, relation, old: { kind: 'key', values: tuple(id, null) } };
    case 'truncate':
      return { kind, relations: [relation], cascade: false, restartIdentity: false };
  }
}

function tuple(id: number | string, value: number | null): Tuple {
  const values = [String(id), value === null ? null : String(value)];
  const message = decodeMessage(encodeMessage({ kind: 'insert', relation: 1, values }));
  if (message.kind !== 'insert') throw new Error('an insert was encoded');
  return message.values;
}

function plan(changes: readonly BoundChange[], how: { joined: boolean; reorder: boolean }) {
  const statements: Statement[] = [];
  const planner = new ChangePlanner(how, new TableShapes(), (it) => statements.push(it));
  for (const it of changes) planner.add(it);
  planner.flush();
  return statements;
}

/** What Postgres would do; every row must be there, or not, as it would want it. */
function run(statements: readonly Statement[]): Rows {
  const rows: Rows = new Map();
  for (const { change: kind, table: target, sql, parameters, rows: count } of statements) {
    if (kind === 'truncate') {
      for (const it of [...rows.keys()]) if (it.startsWith(target.name)) rows.delete(it);
      continue;
    }
    const columns = parameters.map(elements);
    expect(columns.every((it) => it.length === count)).toBe(true);
    // Inside one statement no row is seen twice.
    expect(new Set(columns[0]).size).toBe(count);
    for (let i = 0; i < (count ?? 0); i++) {
      const [id = '', second = '', third = ''] = columns.map((it) => at(it, i));
      const key = `${target.name} ${id}`;
      expect(rows.has(key)).toBe(kind !== 'insert');
      const moves = kind === 'update' && sql.includes('SET "id"');
      const place = moves ? `${target.name} ${second}` : key;
      if (kind !== 'insert') rows.delete(key);
      expect(rows.has(place)).toBe(false);
      if (kind !== 'delete') rows.set(place, moves ? third : second);
    }
  }
  return rows;
}

function elements(bytes: Buffer): string[] {
  const out: string[] = [];
  for (let offset = 20; offset < bytes.length;) {
    const length = bytes.readInt32BE(offset);
    out.push(bytes.toString('utf8', offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
  return out;
}

function table(name: string): TargetTable {
  const column = (columnName: string, source: number) => ({
    ...{ name: columnName, source, type: 'integer', equals: '=', identityAlways: false },
  });
  const columns = [column('id', 0), column('value', 1)];
  return { schema: 'public', table: name, name, columns, key: [0], unique: true, watched: false };
}
