/**
 * What the console asks its replica. Where the replica wants to know who asks, a token that the person
 * gives is sent along; it stays in this tab.
 */

const TOKEN = 'meridian-token';

export class ApiError extends Error {
  /** `reason`: of the closed list; or Connect's code where there is none. */
  constructor(status, { code = 'unknown', message = '', details = [] }) {
    super(message);
    this.status = status;
    this.reason = details[0]?.debug?.reason ?? code;
  }
}

export function saveToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function overview(signal) {
  return ask('overview', { signal });
}

/** Page of streams by name, linearizable. */
export function listStreams(request, signal) {
  return call('StreamService/ListStreams', request, signal);
}

export async function describeStream(stream, signal) {
  const answer = await call('StreamService/DescribeStream', { stream }, signal);
  return answer.stream;
}

/** A page of records; `parameters` as HTTP.md has them. */
export function readPage(stream, parameters, signal) {
  return ask(`${recordsAt(stream)}?${new URLSearchParams(parameters)}`, { signal });
}

/** Calls back for every item until the signal is aborted; throws what ends the read. */
export async function follow(stream, parameters, signal, onItem) {
  const query = new URLSearchParams({ ...parameters, follow: 'true', progress: 'true' });
  const response = await answered(`${recordsAt(stream)}?${query}`, { signal });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') continue;
      const item = JSON.parse(line);
      if (item.type === 'error') throw new ApiError(200, item.error);
      onItem(item);
    }
  }
}

function recordsAt(stream) {
  return `../v1/streams/${encodeURIComponent(stream)}/records`;
}

function call(method, request, signal) {
  return ask(`../meridian.journal.v1.${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    signal,
  });
}

async function ask(path, options) {
  return (await answered(path, options)).json();
}

async function answered(path, options) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = {
    ...options.headers,
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  throw new ApiError(response.status, await response.json().catch(() => ({})));
}
