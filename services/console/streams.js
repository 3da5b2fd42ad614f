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
  let last = '';
  const load = async () => {
    try {
      const page = await listStreams({ prefix: prefix.value, after: last, limit: PAGE }, signal);
      const { streams } = page;
      body.replaceChildren(...streams.map(row));
      note.textContent =
        streams.length === 0
          ? 'There is no stream of that name.'
          : `${streams.length} streams${page.more ? ', others follow' : ''}`;
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
  const heads = ['stream', 'records', 'numbers', 'last record', 'fencing', 'lease'];
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
      h(
        'div',
        { class: 'scroll' },
        h(
          'table',
          {},
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              heads.map((text, i) =>
                h('th', { scope: 'col', class: i === 1 ? 'number' : '' }, text),
              ),
            ),
          ),
          body,
        ),
      ),
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
    h('td', {}, h('a', { href: `#/streams/${encodeURIComponent(stream)}` }, stream)),
    h('td', { class: 'number' }, number(kept)),
    h('td', {}, kept === 0 ? NONE : `${number(firstSeqNum)} – ${number(Number(nextSeqNum) - 1)}`),
    h('td', {}, dayAndTime(timestamp)),
    h('td', {}, fencing(config, fencingToken)),
    h(
      'td',
      {},
      lease === undefined || lease === null
        ? NONE
        : `${lease.holder}, until ${dayAndTime(lease.expiresAt)}`,
    ),
  );
}

export function fencing(config, token) {
  const required = config?.fencing === 'FENCING_REQUIRED' ? 'required' : 'free';
  return Number(token) === 0 ? required : `${required}, token ${number(token)}`;
}
