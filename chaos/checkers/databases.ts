/** The databases are the same at the end, row by row and column by column. */
import type { History } from '../model/history.ts';
import type { FinalRow } from '../model/operation.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';

/** `databases`: what must be there; one that recorded no row is compared too. */
export function checkDatabases(
  history: History,
  primary: string,
  databases: readonly string[],
): Verdict {
  const findings = new Findings('databases equal, row by row', 'I14');
  const rows = new Map([primary, ...databases].map((name) => [name, new Map<string, FinalRow>()]));
  for (const row of history.rows) {
    const database = rows.get(row.database);
    if (database === undefined) continue;
    findings.checked += 1;
    const name = `${row.table} ${row.key}`;
    if (database.has(name)) findings.object(`${row.database}: ${name} is there twice`);
    database.set(name, row);
  }
  const expected = rows.get(primary) ?? new Map<string, FinalRow>();
  for (const name of databases) {
    const actual = rows.get(name) ?? new Map<string, FinalRow>();
    for (const [key, row] of expected) {
      const copy = actual.get(key);
      if (copy === undefined) findings.object(`${name}: ${key} is missing`);
      else if (!isSame(copy.columns, row.columns)) {
        const [is, should] = [copy, row].map(({ columns }) => JSON.stringify(columns));
        findings.object(`${name}: ${key} is ${is}, in ${primary} ${should}`);
      }
    }
    for (const key of actual.keys()) {
      if (!expected.has(key)) findings.object(`${name}: ${key} is not in ${primary}`);
    }
  }
  if (expected.size === 0) findings.object(`${primary}: no row was recorded`);
  return findings.verdict();
}

function isSame(a: FinalRow['columns'], b: FinalRow['columns']): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
