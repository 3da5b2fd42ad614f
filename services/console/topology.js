/**
 * Who hears whom, as a drawing and as a table: the drawing for a glance, the table for the figures and for
 * those who do not see drawings. A line is drawn by how it is (whole, broken, gone), not by colour alone.
 */
import { h, s } from './dom.js';
import { duration, NONE } from './format.js';
import { hearing } from './findings.js';

const PLACES = [
  [60, 120],
  [260, 120],
  [160, 26],
];

export function topology({ replicas, self }) {
  return h(
    'section',
    { class: 'panel', 'aria-labelledby': 'links-title' },
    h('h2', { id: 'links-title' }, 'Links'),
    drawing(replicas, self),
    table(replicas),
  );
}

function drawing(replicas, self) {
  const edges = [
    [0, 1],
    [1, 2],
    [0, 2],
  ].map(([a, b]) => edge(replicas[a], replicas[b]));
  const nodes = replicas.map((replica) => {
    const [x, y] = PLACES[replica.replica];
    const state = stateOf(replica);
    return s(
      'g',
      { class: `node ${state.name}`, transform: `translate(${x} ${y})` },
      s('circle', { r: 9 }),
      s('text', { y: 4, class: 'mark' }, state.mark),
      s('text', { y: replica.replica === 2 ? -14 : 26 }, labelOf(replica, self)),
    );
  });
  const said = pairTexts(replicas).join('; ');
  return s(
    'svg',
    { viewBox: '0 0 320 156', class: 'topology', role: 'img', 'aria-label': `Links: ${said}` },
    edges,
    nodes,
  );
}

function edge(a, b) {
  const [ax, ay] = PLACES[a.replica];
  const [bx, by] = PLACES[b.replica];
  const [there, back] = [hearing(a, b), hearing(b, a)];
  const kind = there === true && back === true ? 'both' : there || back ? 'one' : 'none';
  const trip = roundTrip(a, b);
  const text = kind === 'both' ? trip : kind === 'one' ? 'one way' : 'cut';
  const [mx, my] = [(ax + bx) / 2, (ay + by) / 2];
  const flat = ay === by;
  return s(
    'g',
    { class: `edge ${kind}` },
    s('line', { x1: ax, y1: ay, x2: bx, y2: by }),
    s(
      'text',
      {
        x: flat ? mx : mx + (mx < 160 ? -12 : 12),
        y: flat ? my - 6 : my - 4,
        class: flat ? '' : mx < 160 ? 'end' : 'start',
      },
      text,
    ),
  );
}

function table(replicas) {
  const head = h(
    'tr',
    {},
    h('th', { scope: 'col' }, 'hears →'),
    replicas.map(({ region }) => h('th', { scope: 'col' }, region)),
  );
  const rows = replicas.map((listener) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, listener.region),
      replicas.map((speaker) => h('td', {}, speaker === listener ? '' : cell(listener, speaker))),
    ),
  );
  return h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, head), h('tbody', {}, rows)));
}

function cell(listener, speaker) {
  const hears = hearing(listener, speaker);
  if (hears === null) return h('span', { class: 'dim' }, 'not known');
  const peer = listener.view?.status.peers.find(({ replica }) => replica === speaker.replica);
  const trip =
    peer === undefined || peer.roundTripSeconds === 0 ? '' : duration(peer.roundTripSeconds);
  if (!hears) return h('span', { class: 'bad' }, '✕ does not');
  return h('span', { class: 'good' }, `✓ ${trip}`);
}

function roundTrip(a, b) {
  const seconds = [
    [a, b],
    [b, a],
  ]
    .map(([x, y]) => x.view?.status.peers.find(({ replica }) => replica === y.replica))
    .map((peer) => peer?.roundTripSeconds ?? 0)
    .filter((value) => value > 0);
  return seconds.length === 0 ? NONE : duration(Math.min(...seconds));
}

function pairTexts(replicas) {
  return replicas.flatMap((listener) =>
    replicas
      .filter((speaker) => speaker !== listener)
      .map((speaker) => {
        const hears = hearing(listener, speaker);
        const how = hears === null ? 'perhaps hears' : hears ? 'hears' : 'does not hear';
        return `${listener.region} ${how} ${speaker.region}`;
      }),
  );
}

function stateOf({ view }) {
  if (view === null) return { name: 'away', mark: '?' };
  return view.obstacle === '' ? { name: 'well', mark: '✓' } : { name: 'ill', mark: '!' };
}

function labelOf({ region, replica }, self) {
  return replica === self ? `${region} (this)` : region;
}
