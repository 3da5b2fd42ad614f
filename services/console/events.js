/** What the replicas have told of their state lately, all regions in one list, newest first. */
import { h, patch } from './dom.js';
import { dayAndTime } from './format.js';

/** Of all regions, newest first; by the clock of whoever told it. */
export function eventsOf(replicas) {
  const events = replicas.flatMap(({ region, view }) =>
    (view?.events ?? []).map((event) => ({ region, ...event })),
  );
  return events.sort((a, b) => Number(b.at) - Number(a.at));
}

export function eventList(events) {
  if (events.length === 0) return h('p', { class: 'dim' }, 'Nothing was told yet.');
  const rows = events.map(({ at, region, warning, message, fields }) =>
    h(
      'tr',
      { class: warning ? 'warning' : '' },
      h('td', { class: 'time' }, dayAndTime(at)),
      h('td', { class: 'one-line' }, region),
      h('td', { class: 'event' }, warning ? h('span', { class: 'warn' }, '! ') : null, message),
      h('td', { class: 'fields dim' }, fieldsText(fields)),
    ),
  );
  const heads = ['time', 'told by', 'what', 'fields'];
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      { class: 'events stacked' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          heads.map((text) => h('th', { scope: 'col' }, text)),
        ),
      ),
      h('tbody', {}, rows),
    ),
  );
}

/** The page: its filter stays as it is while the list goes on. */
export function showEvents(main) {
  const only = h('input', { type: 'checkbox', id: 'warnings', change: () => update() });
  const list = h('div', {});
  let replicas = [];
  const update = () => {
    const events = eventsOf(replicas).filter(({ warning }) => warning || !only.checked);
    patch(list, eventList(events));
  };
  main.replaceChildren(
    h(
      'section',
      { class: 'panel' },
      h('div', { class: 'title' }, h('h2', {}, 'Events'), h('label', {}, only, ' warnings only')),
      list,
      h(
        'p',
        { class: 'dim' },
        'The last 200 of each region since it started; its log has all of them.',
      ),
    ),
  );
  return (overview) => {
    replicas = overview.replicas;
    update();
  };
}

function fieldsText(fields) {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}
