/** The streams by name, a page at a time; linearizable, so asked only when the person wants it. */
import { h } from './dom.js';
import { dayAndTime, NONE, number } from './format.js';
import { listStreams } from './replica-api.js';

const PAGE = 50;

export function showStreams(main, signal, onError) {
  const prefix = h('input', {
    id: 'prefix',
    type: 'search',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const body = h('tbody', {});
  const note = h('p', { class: 'dim', role: 'status' });
  const more = h('button', { type: 'button', hidden: true, click: () => load() }, 'Next page');
  const heads = ['stream', 'records', 'numbers', 'last record', 'fencing', 'lease'];
  const table = h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'streams stacked' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          heads.map((text, i) => h('th', { scope: 'col', class: i === 1 ? 'number' : '' }, text)),
        ),
      ),
      body,
    ),
  );
  let last = '';
  const load = async () => {
    try {
      const page = await listStreams({ prefix: prefix.value, after: last, limit: PAGE }, signal);
      const { streams } = page;
      body.replaceChildren(...streams.map(row));
      note.textContent =
        streams.length === 0
          ? prefix.value === ''
            ? 'There are no streams yet: the first append to a name makes one.'
            : 'No stream begins like this.'
          : `${streams.length} stream${streams.length === 1 ? '' : 's'}${page.more ? ', others follow' : ''}`;
      table.hidden = streams.length === 0;
      last = streams.at(-1)?.stream ?? '';
      more.hidden = !page.more;
    } catch (error) {
      onError(error);
    }
  };
  const search = (event) => {
    event.preventDefault();
    last = '';
    load();
  };
  main.replaceChildren(
    h(
      'section',
      { class: 'panel' },
      h('h2', {}, 'Streams'),
      h(
        'form',
        { class: 'bar', submit: search },
        h('label', { for: 'prefix' }, 'Names that begin with'),
        prefix,
        h('button', {}, 'Show'),
      ),
      note,
      table,
      more,
    ),
  );
  load();
}

function row({ stream, firstSeqNum, nextSeqNum, timestamp, fencingToken, config, lease }) {
  const kept = Number(nextSeqNum) - Number(firstSeqNum);
  return h(
    'tr',
    {},
    h(
      'td',
      { class: 'stream' },
      h('a', { href: `#/streams/${encodeURIComponent(stream)}` }, stream),
    ),
    named('records', number(kept), 'number'),
    named(
      'numbers',
      kept === 0 ? NONE : `${number(firstSeqNum)} – ${number(Number(nextSeqNum) - 1)}`,
      'one-line',
    ),
    named('last record', dayAndTime(timestamp), 'time'),
    named('fencing', fencing(config, fencingToken)),
    named(
      'lease',
      lease === undefined || lease === null
        ? NONE
        : `${lease.holder}, until ${dayAndTime(lease.expiresAt)}`,
    ),
  );
}

/** A cell that says what it is where there is no room for a head. */
function named(name, text, kind = '') {
  return h('td', { class: kind, 'data-name': name }, text);
}

export function fencing(config, token) {
  const required = config?.fencing === 'FENCING_REQUIRED' ? 'required' : 'none';
  return Number(token) === 0 ? required : `${required}, token ${number(token)}`;
}
