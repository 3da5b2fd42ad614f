/** The instance on one page: what is wrong, the regions, links, lanes, open reads, what happened last. */
import { h, patch } from './dom.js';
import { eventList, eventsOf } from './events.js';
import { findingsOf, lagOf, newestLanes } from './findings.js';
import { bytes, duration, latency, NONE, number, time } from './format.js';
import { History } from './history.js';
import { topology } from './topology.js';

const EVENTS = 8;

/** Of the page, not of a visit to it: going to the streams and back loses nothing. */
const figures = [0, 1, 2].map(() => ({
  lag: new History(0.2),
  rate: new History(20),
  last: null,
}));

/** Called with every overview, shown or not. */
export function remember({ replicas }) {
  for (const { replica, view } of replicas) {
    const kept = figures[replica];
    kept.lag.add(view === null ? null : lagOf(view.status));
    kept.rate.add(view === null ? null : rateOf(kept, view.status));
    if (view === null) kept.last = null;
  }
}

function rateOf(kept, { releasedEntries, wallClock }) {
  const now = { entries: Number(releasedEntries), at: Number(wallClock) / 1e6 };
  const { last } = kept;
  kept.last = now;
  if (last === null || now.at <= last.at) return null;
  kept.perSecond = Math.max(0, (now.entries - last.entries) / (now.at - last.at));
  return kept.perSecond;
}

export function showOverview(main, overview) {
  const { replicas, self } = overview;
  patch(
    main,
    h('h2', { class: 'hidden' }, 'Overview'),
    verdict(findingsOf(overview)),
    h(
      'div',
      { class: 'regions' },
      replicas.map((replica) => regionPanel(replica, replica.replica === self)),
    ),
    h(
      'div',
      { class: 'columns' },
      topology(overview),
      h('div', { class: 'stack' }, lanes(overview), reads(replicas)),
    ),
    h(
      'section',
      { class: 'panel', 'aria-labelledby': 'events-title' },
      h('h2', { id: 'events-title' }, 'Recent events'),
      eventList(eventsOf(replicas).slice(0, EVENTS)),
      h('p', {}, h('a', { href: '#/events' }, 'all events')),
    ),
  );
}

function verdict(findings) {
  if (findings.length === 0) {
    const text = 'All three regions answer and hear each other; every lane is written by its home.';
    return h('div', { class: 'verdict good', role: 'status' }, h('p', {}, `✓ ${text}`));
  }
  const lines = findings.map(({ severe, text }) =>
    h('li', { class: severe ? 'bad' : 'warn' }, `${severe ? '✕' : '!'} ${text}`),
  );
  return h('div', { class: 'verdict', role: 'status' }, h('ul', {}, lines));
}

function regionPanel({ replica, region, view, error, tookMs }, isSelf) {
  const title = h('h3', {}, region, ' ', isSelf ? h('small', {}, 'this replica') : null);
  if (view === null) {
    return h(
      'section',
      { class: 'panel region', 'data-key': `away-${replica}` },
      h('div', { class: 'title' }, title, h('span', { class: 'badge bad' }, '✕ no answer')),
      h('p', { class: 'dim' }, error.message),
    );
  }
  const { status, obstacle } = view;
  const { lag, rate, perSecond } = figures[replica];
  const well = obstacle === '' && status.voting;
  const disk = status.disk ?? { freeBytes: 0, totalBytes: 0, logBytes: 0 };
  const facts = [
    ['append p50 / p99', latency(status.appendLatency)],
    ['read point p50 / p99', latency(status.readLatency)],
    ['disk sync p50 / p99', latency(status.syncLatency)],
    ['sessions, reads', `${number(status.sessions)}, ${number(status.readers)}`],
    ['under way', bytes(status.unansweredBytes)],
    ['released entries', number(status.releasedEntries)],
    ['log, disk free', `${bytes(disk.logBytes)}, ${bytes(disk.freeBytes)}`],
    ['clock', status.clockSafe ? 'safe' : '✕ out of bounds'],
    ['version, up', `${status.version}, ${duration(status.uptimeSeconds)}`],
    ['asked in', `${tookMs} ms`],
  ];
  return h(
    'section',
    { class: 'panel region', 'data-key': `there-${replica}` },
    h(
      'div',
      { class: 'title' },
      title,
      well
        ? h('span', { class: 'badge good' }, status.witness ? '✓ votes only' : '✓ serving')
        : h('span', { class: 'badge bad' }, status.voting ? '✕ not serving' : '! recovering'),
    ),
    h(
      'div',
      { class: 'charts' },
      chart('behind', duration(lagOf(status)), lag.draw(`Lag of ${region}`, duration)),
      chart(
        'entries',
        perSecond === undefined ? NONE : `${perSecond.toFixed(perSecond < 10 ? 1 : 0)} /s`,
        rate.draw(`Entries a second of ${region}`, (value) => value.toFixed(1)),
      ),
    ),
    h(
      'dl',
      {},
      h('div', {}, h('dt', {}, 'watermark'), h('dd', {}, time(status.watermark))),
      h('div', {}, h('dt', {}, 'last record'), h('dd', {}, time(status.lastTimestamp))),
      facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    ),
  );
}

function chart(name, value, drawing) {
  return h('figure', {}, h('figcaption', {}, name, h('strong', {}, value)), drawing);
}

function lanes({ replicas }) {
  const regionOf = (replica) => replicas[replica]?.region ?? NONE;
  const wall = Math.max(...replicas.map(({ view }) => Number(view?.status.wallClock ?? 0)));
  const rows = newestLanes(replicas).map((lane) => {
    const sealed = lane.writer !== lane.lane;
    const synced = replicas.map(({ view }) =>
      view?.status.lanes.find((each) => each.lane === lane.lane),
    );
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, regionOf(lane.lane)),
      h(
        'td',
        { class: 'one-line' },
        sealed
          ? h('span', { class: 'warn' }, `! sealed by ${regionOf(lane.writer)}`)
          : h('span', { class: 'good' }, '✓ its home'),
      ),
      h('td', { class: 'number' }, number(lane.epoch)),
      h('td', { class: 'number' }, number(lane.committedIndex)),
      synced.map((each) => h('td', { class: 'number' }, each ? number(each.syncedIndex) : NONE)),
      h('td', { class: 'number' }, duration(Math.max(0, (wall - Number(lane.resolved)) / 1e6))),
    );
  });
  const over = (text, span, group) =>
    h('th', { scope: group ? 'colgroup' : 'col', colspan: span, class: 'number' }, text);
  const groups = h(
    'tr',
    {},
    h('th', { scope: 'col', rowspan: 2 }, 'lane of'),
    h('th', { scope: 'col', rowspan: 2 }, 'written by'),
    ['epoch', 'committed'].map((text) =>
      h('th', { scope: 'col', rowspan: 2, class: 'number' }, text),
    ),
    over('synced in', 3, true),
    h('th', { scope: 'col', rowspan: 2, class: 'number' }, 'closed'),
  );
  const regions = h(
    'tr',
    {},
    replicas.map(({ region }) => over(region, 1, false)),
  );
  return h(
    'section',
    { class: 'panel', 'aria-labelledby': 'lanes-title' },
    h('h2', { id: 'lanes-title' }, 'Lanes'),
    h(
      'div',
      { class: 'scroll' },
      h('table', {}, h('thead', {}, groups, regions), h('tbody', {}, rows)),
    ),
    h(
      'p',
      { class: 'dim' },
      'Indexes of entries: committed is on two disks, synced is on that region’s. Closed: how far behind the lane’s closed timestamp is; the order waits for the furthest.',
    ),
  );
}

function reads(replicas) {
  const open = replicas.flatMap(({ region, view }) =>
    (view?.reads ?? []).map((read) => ({ region, watermark: view.status.watermark, ...read })),
  );
  const rows = open.map(({ region, client, stream, position, heldBytes, watermark }) =>
    h(
      'tr',
      {},
      h('td', { class: 'one-line' }, client),
      h('td', { class: 'one-line' }, region),
      h('td', {}, stream === '' ? 'all streams' : stream),
      h(
        'td',
        { class: 'number' },
        Number(position) === 0
          ? NONE
          : duration(Math.max(0, (Number(watermark) - Number(position)) / 1e6)),
      ),
      h('td', { class: 'number' }, bytes(heldBytes)),
    ),
  );
  return h(
    'section',
    { class: 'panel', 'aria-labelledby': 'reads-title' },
    h('h2', { id: 'reads-title' }, 'Open reads'),
    rows.length === 0
      ? h(
          'p',
          { class: 'dim' },
          'Nobody follows the journal at the moment: no crossbar, sidecar, applier or tail.',
        )
      : h(
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
                ['client', 'at', 'reads'].map((text) => h('th', { scope: 'col' }, text)),
                ['behind', 'waiting'].map((text) =>
                  h('th', { scope: 'col', class: 'number' }, text),
                ),
              ),
            ),
            h('tbody', {}, rows),
          ),
        ),
  );
}
