/**
 * How definitions (DDL) get into the stream of changes: event triggers at the source write each
 * statement into the log as a transactional message, at its place among the changes of its
 * transaction. What cannot be carried is refused here, before it happens, with a way round it.
 *
 * Postgres gives an event trigger the tag of a command and the objects it touched, and of its text
 * only that of the whole query, or of the statement of PL/pgSQL that runs. So the text is cut into
 * statements here, and the first one not yet carried that fits the tag is the one. When none fits,
 * that is refused too: a statement is never guessed.
 *
 * Not carried, by choice: rights and owners, comments on shared objects, publications, subscriptions. Roles and
 * tablespaces are not of the database and raise no event.
 */
import type pg from 'pg';
import { fromPostgres, sqlStateOf } from './connection.ts';
import { DEFINITION_PREFIX } from './definitions.ts';
import { LOCK_OURS } from './sql.ts';

/** A state machine over lexemes: one pass, and as much of SQL as finds the end of a statement. */
const NEXT_STATEMENT = `
CREATE OR REPLACE FUNCTION meridian.next_statement(
  query text, OUT statement text, OUT bare text, OUT rest text
) LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $function$
DECLARE
  lexeme text;
  state text := '';    -- inside: ' E " -- /* or a dollar quote's tag; empty: in none
  comments int := 0;
  parens int := 0;
  atomic int := 0;     -- inside BEGIN ATOMIC … END
  word text := '';
  before text := '';
  taken int := 0;
  escaped bool := false;
  ended bool := false;
BEGIN
  bare := '';
  FOR lexeme IN SELECT m[1] FROM regexp_matches(query,
    $re$(--|/\\*|\\*/|\\$(?:[[:alpha:]_]\\w*)?\\$|[[:alpha:]_][\\w$]*|'|"|;|\\(|\\)|\\\\|\\n|[^-/*$'";()\\\\\\n[:alpha:]_]+|.)$re$,
    'g') m
  LOOP
    taken := taken + length(lexeme);
    IF state = '' THEN
      IF lexeme = ';' AND parens <= 0 AND atomic <= 0 THEN
        ended := true;
        EXIT;
      END IF;
      CASE
        WHEN lexeme = '''' THEN state := CASE WHEN before IN ('e', 'E') THEN 'E' ELSE '''' END;
        WHEN lexeme IN ('"', '--') THEN state := lexeme;
        WHEN lexeme = '/*' THEN state := lexeme; comments := 1;
        WHEN lexeme ~ '^\\$.*\\$$' AND length(lexeme) > 1 THEN state := lexeme;
        WHEN lexeme = '(' THEN parens := parens + 1;
        WHEN lexeme = ')' THEN parens := parens - 1;
        WHEN lexeme ~ '^[[:alpha:]_]' THEN
          IF lower(lexeme) = 'atomic' AND word = 'begin' THEN atomic := 1;
          ELSIF atomic > 0 AND lower(lexeme) = 'case' THEN atomic := atomic + 1;
          ELSIF atomic > 0 AND lower(lexeme) = 'end' THEN atomic := atomic - 1;
          END IF;
          word := lower(lexeme);
        ELSE NULL;
      END CASE;
      bare := bare || CASE WHEN state IN ('--', '/*') THEN ' ' ELSE lexeme END;
    ELSIF escaped THEN
      escaped := false;
    ELSIF state = 'E' AND lexeme = '\\' THEN
      escaped := true;
    ELSIF state = '/*' THEN
      comments := comments + CASE lexeme WHEN '/*' THEN 1 WHEN '*/' THEN -1 ELSE 0 END;
      IF comments = 0 THEN state := ''; END IF;
    ELSIF state = '--' THEN
      IF lexeme = E'\\n' THEN state := ''; END IF;
    ELSIF lexeme = state OR (state = 'E' AND lexeme = '''') THEN
      state := '';
    END IF;
    before := lexeme;
  END LOOP;
  statement := trim(E' \\t\\n\\r' FROM left(query, taken - CASE WHEN ended THEN 1 ELSE 0 END));
  bare := trim(E' \\t\\n\\r' FROM bare);
  rest := trim(E' \\t\\n\\r' FROM substr(query, taken + 1));
END $function$`;

/** Modifiers that stand in a statement where its tag has nothing. */
const MODIFIERS =
  'or\\s+replace|global|local|temp|temporary|unlogged|unique|recursive|trusted|procedural|constraint|default';

/**
 * Every event takes its statement out of the text, carried or not: else the next event of the same tag
 * would find this one. The key names query and moment; what is left of the text waits for the next event.
 */
const SHIP_DEFINITION = `
CREATE OR REPLACE FUNCTION meridian.ship_definition() RETURNS event_trigger
LANGUAGE plpgsql AS $function$
DECLARE
  path text := pg_catalog.current_setting('search_path');
  carried bool;
  context text;
  query text;
  key text;
  rest text;
  pattern text;
  statement text;
  bare text;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
  carried := meridian.is_carried(tg_tag);
  GET DIAGNOSTICS context = PG_CONTEXT;
  context := substr(context, nullif(strpos(context, E'\\n'), 0) + 1);
  query := CASE WHEN context IS NULL THEN current_query()
    ELSE substring(context FROM '^SQL statement "(.*?)"\\n(?:PL/pgSQL function|SQL function) ') END;
  IF query IS NOT NULL THEN
    key := md5(query) || statement_timestamp();
    pattern := '^' || regexp_replace(lower(tg_tag), ' ', '\\s+((${MODIFIERS})\\s+)*') || '\\M';
    rest := CASE WHEN current_setting('meridian.query', true) = key
      THEN current_setting('meridian.rest', true) ELSE query END;
    FOR attempt IN 1..2 LOOP
      LOOP
        SELECT * INTO statement, bare, rest FROM meridian.next_statement(rest);
        EXIT WHEN bare ~* pattern OR rest = '';
      END LOOP;
      EXIT WHEN bare ~* pattern;
      -- The same text once more in the same moment: a loop in PL/pgSQL.
      rest := query;
    END LOOP;
    IF bare ~* pattern THEN
      PERFORM set_config('meridian.query', key, false), set_config('meridian.rest', rest, false);
    END IF;
  END IF;
  IF carried AND bare ~* pattern IS NOT TRUE THEN
    RAISE EXCEPTION 'meridian cannot carry this % to the replicas: its text is not known here', tg_tag
      USING ERRCODE = 'feature_not_supported',
        HINT = 'Run it as a query of its own, or from PL/pgSQL, not from a function in SQL.';
  END IF;
  IF carried AND bare !~* '^alter\\s[^(]*\\sowner\\s+to\\s+\\S+$' THEN
    PERFORM pg_logical_emit_message(true, '${DEFINITION_PREFIX}', jsonb_build_object(
      'version', 1, 'tag', tg_tag, 'statement', statement, 'settings', (
        SELECT jsonb_object_agg(name, current_setting(name)) FROM unnest(ARRAY['DateStyle',
          'IntervalStyle', 'TimeZone', 'standard_conforming_strings', 'xmloption',
          'default_table_access_method', 'transform_null_equals']) name
      ) || jsonb_build_object('search_path', path))::text);
  END IF;
  PERFORM set_config('search_path', path, true);
END $function$`;

const NOT_CARRIED = [
  ...[
    'GRANT',
    'REVOKE',
    'ALTER DEFAULT PRIVILEGES',
    'SECURITY LABEL',
    'REINDEX',
    'IMPORT FOREIGN SCHEMA',
  ],
  ...['PUBLICATION', 'SUBSCRIPTION'].flatMap((what) =>
    ['CREATE', 'ALTER', 'DROP'].map((verb) => `${verb} ${what}`),
  ),
];

/** Raises for what must not happen, because its result could not be the same everywhere. */
const IS_CARRIED = `
CREATE OR REPLACE FUNCTION meridian.is_carried(tag text) RETURNS bool
LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
DECLARE
  dropped text := current_setting('meridian.dropped', true);
BEGIN
  IF tag = ANY ('{${NOT_CARRIED.join(',')}}') THEN RETURN false; END IF;
  IF tag LIKE 'DROP %' THEN
    PERFORM set_config('meridian.dropped', '', true);
    IF coalesce(dropped, '') = '' THEN RETURN false; END IF;
    IF tag = 'DROP OWNED' THEN
      RAISE EXCEPTION 'meridian cannot carry DROP OWNED to the replicas: roles belong to each cluster'
        USING ERRCODE = 'feature_not_supported', HINT = 'Drop the objects by their names.';
    END IF;
    RETURN true;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c WHERE NOT c.in_extension
    AND c.schema_name IS DISTINCT FROM 'pg_temp' AND c.schema_name IS DISTINCT FROM 'meridian'
    AND (c.object_type <> 'schema' OR c.object_identity <> 'meridian')) THEN RETURN false;
  END IF;
  IF tag IN ('CREATE TABLE AS', 'SELECT INTO') THEN
    RAISE EXCEPTION 'meridian cannot carry % to the replicas: its rows are a query''s result', tag
      USING ERRCODE = 'feature_not_supported',
        HINT = 'CREATE TABLE first, then INSERT INTO … SELECT.';
  END IF;
  RETURN true;
END $function$`;

const NOTE_DROP = `
CREATE OR REPLACE FUNCTION meridian.note_drop() RETURNS event_trigger LANGUAGE plpgsql AS $function$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_event_trigger_dropped_objects() o
    WHERE o.original AND NOT o.is_temporary AND o.schema_name IS DISTINCT FROM 'meridian'
      AND (o.object_type OPERATOR(pg_catalog.<>) 'schema'
        OR o.object_identity OPERATOR(pg_catalog.<>) 'meridian'))
  THEN PERFORM pg_catalog.set_config('meridian.dropped', 'yes', true);
  END IF;
END $function$`;

/** Reason 2: a default that is computed for each row. Generated columns are the same everywhere. */
const JUDGE_REWRITE = `
CREATE OR REPLACE FUNCTION meridian.judge_rewrite() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
DECLARE
  relation oid := pg_event_trigger_table_rewrite_oid();
BEGIN
  IF pg_event_trigger_table_rewrite_reason() & 2 = 0 THEN RETURN; END IF;
  IF (SELECT relpersistence FROM pg_class WHERE oid = relation) <> 'p' THEN RETURN; END IF;
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attgenerated = 's'
      AND xmin = pg_current_xact_id()::xid)
    AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attgenerated = ''
      AND (atthasdef OR attidentity <> '') AND xmin = pg_current_xact_id()::xid)
  THEN RETURN;
  END IF;
  RAISE EXCEPTION 'meridian cannot carry this ALTER TABLE of % to the replicas: each would compute other values',
    relation::regclass USING ERRCODE = 'feature_not_supported',
    HINT = 'Add the column without the default, set the default, then UPDATE the rows.';
END $function$`;

/** event, name of the trigger, function */
const TRIGGERS = [
  ['ddl_command_end', 'meridian_ship_definition', 'ship_definition'],
  ['sql_drop', 'meridian_note_drop', 'note_drop'],
  ['table_rewrite', 'meridian_judge_rewrite', 'judge_rewrite'],
] as const;

/**
 * Installs or renews the event triggers. false: the role may not (a superuser is needed), and
 * definitions are not carried.
 */
export async function ensureDefinitionTriggers(client: pg.Client): Promise<boolean> {
  try {
    await client.query('BEGIN');
    // COMMIT may be waiting for the very session that starts when this is done.
    await client.query('SET LOCAL synchronous_commit = local');
    await client.query(LOCK_OURS);
    await client.query('CREATE SCHEMA IF NOT EXISTS meridian');
    for (const sql of [NEXT_STATEMENT, IS_CARRIED, SHIP_DEFINITION, NOTE_DROP, JUDGE_REWRITE]) {
      await client.query(sql);
    }
    await client.query('GRANT USAGE ON SCHEMA meridian TO PUBLIC');
    for (const [event, name, handler] of TRIGGERS) {
      const { rowCount } = await client.query('SELECT FROM pg_event_trigger WHERE evtname = $1', [
        name,
      ]);
      if (rowCount !== 0) continue;
      await client.query(
        `CREATE EVENT TRIGGER ${name} ON ${event} EXECUTE FUNCTION meridian.${handler}()`,
      );
    }
    await client.query('COMMIT');
    return true;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined); // the connection may be what failed
    if (sqlStateOf(error) === '42501') return false;
    throw fromPostgres(error, 'cannot install the event triggers that carry definitions');
  }
}

/** Removes what `ensureDefinitionTriggers` installed, if it did. */
export async function dropDefinitionTriggers(client: pg.Client): Promise<void> {
  const names = TRIGGERS.map(([, name]) => name);
  const { rowCount } = await client.query('SELECT FROM pg_event_trigger WHERE evtname = ANY ($1)', [
    names,
  ]);
  if (rowCount === 0) return;
  try {
    await client.query(
      `BEGIN; SET LOCAL synchronous_commit = local; ${LOCK_OURS};
       ${names.map((name) => `DROP EVENT TRIGGER IF EXISTS ${name}`).join('; ')}; COMMIT`,
    );
  } catch (error) {
    throw fromPostgres(error, 'cannot remove the event triggers that carry definitions');
  }
}
