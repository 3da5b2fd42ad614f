/**
 * What the check writes and reads: transfers between accounts. One transaction updates two accounts
 * and inserts the transfer, now and then deletes or changes an earlier note, so that inserts, updates
 * and deletes of several tables must arrive together; and any mixture of half transactions shows as
 * an account whose balance does not match the transfers.
 */
import type { Database } from './database.ts';
import type { History, Seen } from './history.ts';

export const ACCOUNTS = 20;
const BALANCE_START = 1_000;
const NOTE_EVERY = 5;

/** The tables exist in every region: changes of the schema are not carried (README). */
export const SCHEMA = `
  CREATE TABLE IF NOT EXISTS account (
    id int PRIMARY KEY,
    balance bigint NOT NULL
  );
  CREATE TABLE IF NOT EXISTS transfer (
    writer int NOT NULL,
    number int NOT NULL,
    from_account int NOT NULL,
    to_account int NOT NULL,
    amount bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (writer, number)
  );
  CREATE TABLE IF NOT EXISTS note (
    id bigint PRIMARY KEY,
    text text NOT NULL
  )`;

/** Where the writers begin: the accounts, once. */
export async function seed(primary: Database): Promise<void> {
  await primary.query(
    `INSERT INTO account SELECT id, $1 FROM generate_series(1, $2::int) id ON CONFLICT DO NOTHING`,
    [BALANCE_START, ACCOUNTS],
  );
}

/** One transfer: returns when its COMMIT has, that is when two regions have it on disk. */
export async function transfer(primary: Database, history: History, writer: number): Promise<void> {
  const row = history.try(writer);
  const from = 1 + ((row * 7 + writer) % ACCOUNTS);
  const to = 1 + ((from + 3 + (row % 5)) % ACCOUNTS);
  const amount = 1 + (row % 10);
  const noteId = writer * 1_000_000_000 + row;
  await primary.query(
    // The accounts are locked in one order, or two transfers could wait for each other for ever.
    `WITH locked AS (
       SELECT id FROM account WHERE id IN ($3::int, $4::int) ORDER BY id FOR UPDATE
     ), moved AS (
       UPDATE account
       SET balance = balance + CASE account.id WHEN $4::int THEN $5::bigint ELSE -$5::bigint END
       FROM locked WHERE account.id = locked.id
     ), noted AS (
       INSERT INTO note SELECT $6::bigint, 'transfer ' || $2::int WHERE $7::boolean
     ), removed AS (
       DELETE FROM note WHERE id = $6::bigint - 2 * $8::int
     ), changed AS (
       UPDATE note SET text = text || ', seen' WHERE id = $6::bigint - $8::int
     )
     INSERT INTO transfer (writer, number, from_account, to_account, amount)
     VALUES ($1, $2, $3, $4, $5)`,
    [writer, row, from, to, amount, noteId, String(row % NOTE_EVERY === 0), NOTE_EVERY],
  );
  history.committed(writer, row);
}

/** Returns when everything that was committed anywhere before the call is in this database. */
export async function waitLinearizable(replica: Database): Promise<void> {
  await replica.query('SELECT meridian.wait_linearizable()');
}

/** What one statement, and so one snapshot, sees in a region. */
export async function look(replica: Database, writers: number): Promise<Seen> {
  const rows = await replica.query(
    `WITH heights AS (
       SELECT writer, max(number) AS height, count(*) AS count FROM transfer GROUP BY writer
     ), moves AS (
       SELECT to_account AS id, amount FROM transfer
       UNION ALL SELECT from_account, -amount FROM transfer
     ), expected AS (
       SELECT id, sum(amount) AS change FROM moves GROUP BY id
     )
     SELECT writer, height, count FROM heights
     UNION ALL
     SELECT -1, count(*), 0 FROM account LEFT JOIN expected USING (id)
     WHERE balance <> $1::int + coalesce(change, 0)`,
    [BALANCE_START],
  );
  const heights = new Array<number>(writers).fill(0);
  const counts = new Array<number>(writers).fill(0);
  let tornAccounts = 0;
  for (const [writer, height, count] of rows.map((row) => row.map(Number))) {
    if (writer === undefined || height === undefined || count === undefined) continue;
    if (writer === -1) tornAccounts = height;
    else {
      heights[writer] = height;
      counts[writer] = count;
    }
  }
  return { heights, counts, tornAccounts };
}
