/**
 * One stream: its records a page at a time, by number, or its tail as it grows. A page holds still while
 * it is read; the tail keeps the last few hundred records and forgets those before.
 */
import { h } from './dom.js';
import { bytes, dayAndTime, number } from './format.js';
import { describeStream, follow, readPage } from './replica-api.js';
import { fencing } from './streams.js';

const PAGE = 50;
const TAIL_ROWS = 300;
const BODY_CHARS = 160;

export function showRecords(main, stream, signal, onError) {
  const facts = h('p', { class: 'dim' });
  const body = h('tbody', {});
  const note = h('span', { role: 'status' });
  /** Apart from the note: nobody wants it read out with every record. */
  const many = h('span', {});
  const at = h('input', { id: 'at', inputmode: 'numeric', pattern: '[0-9]*', size: '10' });
  let first = 0;
  let next = 0;
  let from = 0;
  let tail = null;

  const attempt = async (work) => {
    try {
      await work();
    } catch (error) {
      if (error.reason === 'STREAM_NOT_FOUND') missing();
      else if (error.name !== 'AbortError') onError(error);
    }
  };
  /** Never there, or deleted meanwhile: nothing on this page works any more. */
  const missing = () => {
    tail?.abort();
    controls.remove();
    table.remove();
    facts.textContent = 'There is no stream of this name.';
    note.textContent = '';
    many.textContent = '';
  };
  const describe = async () => {
    const about = await describeStream(stream, signal);
    [first, next] = [Number(about.firstSeqNum), Number(about.nextSeqNum)];
    const kept = first === next ? 'no records' : `records ${number(first)} – ${number(next - 1)}`;
    facts.textContent = `${kept} · fencing ${fencing(about.config, about.fencingToken)} · last ${dayAndTime(about.timestamp)}`;
  };
  const page = (wanted) =>
    attempt(async () => {
      stopTail();
      await describe();
      from = Math.max(first, Math.min(wanted, next - PAGE));
      const { records, gaps } = await readPage(stream, { fromSeqNum: from, limit: PAGE }, signal);
      body.replaceChildren(...records.map(row));
      const last = records.at(-1)?.seqNum ?? from;
      const gone = gaps.length === 0 ? '' : `; ${gaps.map(({ kind }) => kind).join(', ')} before`;
      note.textContent =
        records.length === 0
          ? 'The stream holds no records.'
          : `records ${number(from)} to ${number(last)}${gone}`;
      at.value = String(from);
      older.disabled = from <= first;
      newer.disabled = last >= next - 1;
      many.textContent = '';
    });
  const stopTail = () => {
    tail?.abort();
    tail = null;
    tailing.textContent = 'Follow the tail';
    tailing.setAttribute('aria-pressed', 'false');
  };
  const startTail = () => {
    const own = new AbortController();
    tail = own;
    tailing.textContent = 'Stop following';
    tailing.setAttribute('aria-pressed', 'true');
    body.replaceChildren();
    note.textContent = 'Following, newest first.';
    let count = 0;
    attempt(() =>
      follow(stream, { last: 20 }, AbortSignal.any([signal, own.signal]), (item) => {
        if (own.signal.aborted) return;
        if (item.type === 'record') {
          count += 1;
          body.prepend(row(item));
          while (body.rows.length > TAIL_ROWS) body.lastElementChild.remove();
        }
        const stalled = item.type === 'progress' && item.stalled;
        const state = stalled
          ? '! The order stands still: this replica cannot confirm that the tail is current.'
          : 'Following, newest first.';
        if (note.textContent !== state) note.textContent = state;
        many.textContent = ` ${number(count)} records so far.`;
      }),
    ).finally(() => {
      if (tail === own) stopTail();
    });
  };
  const older = h('button', { type: 'button', click: () => page(from - PAGE) }, 'Older');
  const newer = h('button', { type: 'button', click: () => page(from + PAGE) }, 'Newer');
  const tailing = h(
    'button',
    {
      type: 'button',
      'aria-pressed': 'false',
      click: () => (tail === null ? startTail() : page(next)),
    },
    'Follow the tail',
  );
  const jump = (event) => {
    event.preventDefault();
    page(Number(at.value));
  };
  const controls = h(
    'form',
    { class: 'bar', submit: jump },
    h('button', { type: 'button', click: () => page(0) }, 'First'),
    older,
    newer,
    h('button', { type: 'button', click: () => page(Infinity) }, 'Last'),
    h(
      'span',
      { class: 'pair' },
      h('label', { for: 'at' }, 'from number'),
      at,
      h('button', {}, 'Go'),
    ),
    tailing,
  );
  const heads = ['number', 'time', 'key', 'headers', 'body'].map((text) =>
    h('th', { scope: 'col', class: text === 'number' ? 'number' : '' }, text),
  );
  const table = h(
    'div',
    { class: 'scroll' },
    h('table', { class: 'records stacked' }, h('thead', {}, h('tr', {}, heads)), body),
  );
  main.replaceChildren(
    h(
      'section',
      { class: 'panel' },
      h('p', {}, h('a', { href: '#/streams' }, '← all streams')),
      h('h2', { class: 'name' }, stream),
      facts,
      controls,
      h('p', { class: 'dim' }, note, many),
      table,
    ),
  );
  page(Infinity);
}

function row({ seqNum, timestamp, key, headers, body, encoding }) {
  const shown = headers.map(([name, value]) => `${name}=${value}`).join(' ');
  return h(
    'tr',
    {},
    h('td', { class: 'number' }, number(seqNum)),
    h('td', { class: 'time' }, dayAndTime(timestamp)),
    h('td', {}, key ?? ''),
    h('td', { class: 'dim' }, shown),
    h('td', { class: 'body' }, content(body, encoding)),
  );
}

function content(body, encoding) {
  const kind = encoding === 'utf8' ? null : h('span', { class: 'dim' }, `${encoding} `);
  if (body.length <= BODY_CHARS) return [kind, h('code', {}, body)];
  return h(
    'details',
    {},
    h(
      'summary',
      {},
      kind,
      h('code', {}, `${body.slice(0, BODY_CHARS)}…`),
      h('span', { class: 'dim' }, ` ${bytes(body.length)}`),
    ),
    h('pre', {}, body),
  );
}
