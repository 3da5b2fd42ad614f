/**
 * The console: which page is shown, and the overview that all of them live by, asked once a second while
 * somebody looks. A page that is left stops what it was doing.
 */
import { h } from './dom.js';
import { showEvents } from './events.js';
import { time } from './format.js';
import { remember, showOverview } from './overview.js';
import { showRecords } from './records.js';
import { ApiError, overview as askOverview, saveToken } from './replica-api.js';
import { showStreams } from './streams.js';

const EVERY_MS = 1_000;
const THEME = 'meridian-theme';

const main = document.getElementById('main');
const live = document.getElementById('live');
let leave = new AbortController();
/** Takes every overview for the page that is shown. */
let update = () => undefined;
let latest = null;

function route() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const [page = '', name] = location.hash.replace(/^#\/?/, '').split('/');
  for (const link of document.querySelectorAll('nav a')) {
    const isHere = link.getAttribute('href') === `#/${page}`;
    if (isHere) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  main.replaceChildren();
  update = () => undefined;
  if (page === 'streams' && name !== undefined) {
    showRecords(main, decodeURIComponent(name), signal, complain);
  } else if (page === 'streams') showStreams(main, signal, complain);
  else if (page === 'events') update = showEvents(main);
  else {
    update = (overview) => {
      showOverview(main, overview);
    };
  }
  if (latest !== null) update(latest);
}

async function poll() {
  try {
    if (!document.hidden) {
      latest = await askOverview(AbortSignal.timeout(10_000));
      remember(latest);
      const { cluster, instance, self, replicas } = latest;
      const { region } = replicas[self];
      document.getElementById('place').textContent =
        `${cluster} / ${instance}, seen from ${region}`;
      document.title = `Meridian ${instance} ${region}`;
      say('live', '● live');
      update(latest);
    }
  } catch (error) {
    const since = latest === null ? '' : ` since ${time(latest.wallClock * 1000)}`;
    say('stale', `✕ no answer${since}`);
    if (error instanceof ApiError) complain(error);
  }
  setTimeout(poll, EVERY_MS);
}

/** Only a change is said: a screen reader would read it out every second. */
function say(kind, text) {
  if (live.textContent !== text) live.textContent = text;
  live.className = kind;
  document.body.classList.toggle('stale', kind === 'stale');
}

/** In front of the page, which stays; the newest complaint is enough. */
function complain(error) {
  if (error.name === 'AbortError') return;
  document.getElementById('complaint')?.remove();
  const dismiss = h('button', { type: 'button', click: () => box.remove() }, 'Dismiss');
  const box = h(
    'div',
    { id: 'complaint', role: 'alert', class: 'verdict' },
    h(
      'div',
      { class: 'title' },
      h('p', { class: 'bad' }, `✕ ${error.reason ?? 'FAILED'}: ${error.message}`),
      dismiss,
    ),
    error.status === 401 || error.status === 403 ? tokenForm() : null,
  );
  main.before(box);
}

function tokenForm() {
  const token = h('input', { id: 'token', type: 'password', autocomplete: 'off' });
  const submit = (event) => {
    event.preventDefault();
    saveToken(token.value);
    document.getElementById('complaint')?.remove();
    route();
  };
  return h(
    'form',
    { class: 'bar', submit },
    h('label', { for: 'token' }, 'Token'),
    token,
    h('button', {}, 'Use'),
  );
}

function theme() {
  const select = document.getElementById('theme');
  const apply = () => {
    if (select.value === '') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = select.value;
    localStorage.setItem(THEME, select.value);
  };
  select.value = localStorage.getItem(THEME) ?? '';
  select.addEventListener('change', apply);
  apply();
}

theme();
addEventListener('hashchange', () => {
  route();
  main.focus();
});
route();
poll();
