/** What errors of Postgres, of its driver and of sockets mean; which ones are none of theirs. */
import pg from 'pg';
import { expect, test } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { AssertionError } from '../values/assert.ts';
import { fromPostgres, maybeFromPostgres, sqlStateOf } from './connection.ts';
import { FlightError } from './target-session.ts';

function fromServer(code: string, message: string): Error {
  const error = new pg.DatabaseError(message, message.length, 'error');
  error.code = code;
  return error;
}

function fromNode(code: string): Error {
  return Object.assign(new Error(code), { code });
}

test('two sessions that change one row of a catalogue may try again; other internal errors are for a person', () => {
  for (const message of [
    'tuple concurrently updated',
    'tuple concurrently deleted',
    'could not open relation with OID 16404',
    'cache lookup failed for relation 16404',
  ]) {
    expect(fromPostgres(fromServer('XX000', message)).reason).toBe('UNAVAILABLE');
  }
  expect(fromPostgres(fromServer('XX000', 'unexpected node')).reason).toBe('REFUSED');
});

test('a name server that is away and a socket that was destroyed are no refusals', () => {
  for (const code of ['ECONNREFUSED', 'EPIPE', 'EAI_AGAIN', 'ERR_STREAM_DESTROYED']) {
    expect(fromPostgres(fromNode(code)).reason).toBe('UNAVAILABLE');
    expect(sqlStateOf(fromNode(code))).toBe(null);
  }
  expect(fromPostgres(fromNode('ERR_TLS_CERT_ALTNAME_INVALID')).reason).toBe('REFUSED');
  expect(sqlStateOf(fromServer('57P01', 'shutting down'))).toBe('57P01');
});

test('tells what a dying Postgres threw from a mistake in this program, through whatever wraps it', () => {
  const dying = fromServer('57P01', 'terminating connection due to administrator command');
  const theirs = [
    dying,
    new FlightError(0, dying),
    new FlightError(3, new Error('Connection terminated unexpectedly')),
    fromNode('ECONNRESET'),
    new Error('Client has encountered a connection error and is not queryable'),
    new MeridianError('UNAVAILABLE', 'as it was'),
  ];
  for (const error of theirs) expect(maybeFromPostgres(error)?.reason).toBe('UNAVAILABLE');
  const ours = [
    new TypeError("Cannot read properties of undefined (reading 'connection')"),
    new AssertionError('the connection is closed'),
    new Error('something else'),
    fromNode('ERR_ASSERTION'),
    'closed',
  ];
  for (const error of ours) expect(maybeFromPostgres(error)).toBe(null);
});
