/**
 * For tests: a table with a column of every kind of type (`everything`), rows at the limits of each, and
 * changes to them.
 */

export const TYPES = `
  CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'hap,py');
  CREATE TYPE place AS (x int, label text, at timestamptz[]);
  CREATE TYPE floats AS RANGE (subtype = float8);
  CREATE DOMAIN positive AS numeric(20, 5) CHECK (VALUE > 0);
  CREATE DOMAIN places AS place[];
  CREATE TABLE everything (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, n numeric, np numeric(30, 10), m money,
    b bool, t text, v varchar(20), c char(5), nm name, by bytea, ch "char",
    d date, ti time(3), tz timetz, ts timestamp, tt timestamptz, iv interval,
    u uuid, j json, jb jsonb, jp jsonpath, x xml, ip inet, net cidr, mac macaddr, mac8 macaddr8,
    bi bit(5), vb varbit, p point, l line, s lseg, bx box, pa path, po polygon, ci circle,
    tv tsvector, tq tsquery, o oid, rc regclass, ls pg_lsn, sn pg_snapshot,
    r4 int4range, r8 int8range, rn numrange, rd daterange, rt tstzrange, rf floats,
    mr int4multirange, mf datemultirange,
    e mood, co place, po2 positive, pl places, ea mood[], i4a int[], ta text[], i2d int[][], na numeric[], ja jsonb[],
    tta timestamptz[], ra int4range[], coa place[],
    twice numeric GENERATED ALWAYS AS (i4::numeric * 2) STORED,
    dflt text DEFAULT 'default'
  )`;

export const ROWS: readonly string[] = [
  // Everything unknown.
  `INSERT INTO everything (i4) VALUES (NULL)`,
  // The far ends.
  `INSERT INTO everything (i2, i4, i8, f4, f8, n, np, m, d, ts, tt, iv, o, ls, rd, rt, mf, r8) VALUES
    (-32768, -2147483648, -9223372036854775808, '-Infinity', '-1.7976931348623157e308', 'NaN',
     '-99999999999999999999.9999999999', '-92233720368547758.08', '4713-01-01 BC', '4713-01-01 00:00:00 BC',
     '-infinity', '-178000000 years', 0, '0/0', '(-infinity,)', '[-infinity,infinity]', '{}', '(,)'),
    (32767, 2147483647, 9223372036854775807, 'Infinity', 'NaN', '-Infinity', '99999999999999999999.9999999999',
     '92233720368547758.07', '5874897-12-31', '294276-12-31 23:59:59.999999', 'infinity',
     '178000000 years 11 mons 30 days 23:59:59.999999', 4294967295, 'FFFFFFFF/FFFFFFFF', 'empty',
     '(,"2024-01-01 00:00:00+00"]', '{[2024-01-01,2024-02-01),(2025-01-01,)}', 'empty'),
    (0, 0, 0, '1e-45', '4.9e-324', 1e-16383, '-0.0000000001', '0', 'infinity', '-infinity',
     '0001-01-01 00:00:00 BC', '-00:00:00.000001', 1, '1/0', NULL, NULL, NULL, NULL),
    (1, 1, 1, 0.1, 0.1, repeat('9', 3000)::numeric, 0, '1.50', '-infinity', 'infinity', '1970-01-01',
     '1 mon -1 day 1 us', 2, '16/B374D848', NULL, NULL, NULL, NULL)`,
  // Everything said in text that has to be quoted somewhere.
  `INSERT INTO everything (b, t, v, c, nm, by, ch, u, j, jb, jp, x, ip, net, mac, mac8, bi, vb) VALUES
    (true, E'\\\\ " '' , { } ( ) \\n \\r \\t NULL \\u00e4 \\U0001F600', '', 'a', 'N"a''me', '\\x00ff5c270d0a22', '\\134',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', ' {"a" : 1,  "a":"\\\\"} ', '{"a": [1, null, "\\u00e4\\"", 1e400]}',
     '$."a b"[*] ? (@ > 1)', '<a b="c">&amp;</a>', '::ffff:1.2.3.4/120', '10.0.0.0/8', '08:00:2b:01:02:03',
     '08:00:2b:01:02:03:04:05', B'10101', B''),
    (false, 'NULL', 'null', '     ', '', '', 'x', NULL, 'null', 'null', '$', NULL, '10.1.2.3', '::/0', NULL, NULL, B'00000',
     B'1')`,
  `INSERT INTO everything (p, l, s, bx, pa, po, ci, tv, tq, rc, sn) VALUES
    ('(1e-300,-Infinity)', '{1,-1,0.1}', '[(0,0),(1,1)]', '((1,1),(0,0))', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))',
     '<(1,2),3>', '''a''''b'':1A c:2', '''a b'' & !c:*', 'pg_class', '10:20:10,14')`,
  `INSERT INTO everything (e, co, po2, pl, ea, i4a, ta, i2d, na, ja, tta, ra, coa, rf, mr, r4, rn) VALUES
    ('so "so"', ROW(1, E'a,"b"\\\\(c)', ARRAY['infinity'::timestamptz, NULL]), 0.00001,
     ARRAY[ROW(NULL, '', '{}')::place, NULL]::places, ARRAY['hap,py', NULL, 'sad']::mood[], '{}', ARRAY['', 'NULL', NULL, '"', E'\\\\'],
     '[2:3][-1:0]={{1,2},{3,NULL}}', ARRAY['NaN', 1.10]::numeric[], ARRAY['{"a":"b"}', 'null']::jsonb[],
     ARRAY['-infinity'::timestamptz], ARRAY['[1,2)', 'empty', '(,)']::int4range[], ARRAY[ROW(1, NULL, NULL)::place],
     '[1.5,NaN]', '{[1,3),[5,8)}', '(1,5]', '[0.1,1e100)')`,
];

/** Of everything that can be compared with itself, and of what cannot. */
export const CHANGES: readonly string[] = [
  'UPDATE everything SET i4 = 7 WHERE id = 1',
  "UPDATE everything SET t = 'other', j = '{}', x = '<b/>', p = '(3,4)', ea = NULL, dflt = NULL",
  "UPDATE everything SET e = 'sad', co = ROW(2, 'z', NULL), f8 = 'NaN', n = 'Infinity', tt = '-infinity' WHERE id % 2 = 0",
  'DELETE FROM everything WHERE id = 3',
  'INSERT INTO everything (id, i4) OVERRIDING SYSTEM VALUE VALUES (9223372036854775807, 1)',
];
