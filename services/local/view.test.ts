import { describe, expect, it } from 'vitest';
import { openScreen } from './screen.ts';
import type { Output } from './screen.ts';
import { renderLine, renderView } from './view.ts';
import type { RegionView, ReplicaView, View } from './view.ts';

const NOW_MS = Date.UTC(2026, 0, 2, 12, 41, 5, 250);

function replica(change: Partial<ReplicaView> = {}): ReplicaView {
  return {
    lastTimestamp: (NOW_MS - 900) * 1000 + 7,
    watermark: (NOW_MS - 3) * 1000 + 1,
    lagMs: 3,
    append: { p50Ms: 0.84, p99Ms: 2.1 },
    hears: {},
    sealed: [],
    voting: true,
    ...change,
  };
}

function region(change: Partial<RegionView> = {}): RegionView {
  return {
    replicas: { one: replica(), two: replica({ lastTimestamp: 0, append: null }) },
    crossbar: { watermark: (NOW_MS - 4) * 1000, lagMs: 4 },
    postgres: {
      role: 'replica',
      port: 25402,
      up: true,
      sidecar: 'applying',
      lagMs: 6.4,
      commit: null,
    },
    read: { p50Ms: 3.04, p99Ms: 12 },
    ...change,
  };
}

const VIEW: View = {
  wallClockMs: NOW_MS,
  uptimeMs: 83_000,
  regions: {
    a: region({
      replicas: {
        one: replica({ hears: { b: 'direct', c: 'not' }, sealed: ['c'] }),
        two: replica({ hears: { b: 'direct', c: 'direct' } }),
      },
      postgres: {
        role: 'primary',
        port: 25401,
        up: true,
        sidecar: 'streaming',
        lagMs: null,
        commit: { p50Ms: 1.2, p99Ms: 4 },
      },
    }),
    b: region({ replicas: { one: replica({ voting: false }), two: replica() } }),
    c: region({
      replicas: { one: null, two: replica({ append: null }) },
      crossbar: null,
      postgres: {
        role: 'replica',
        port: 25403,
        up: false,
        sidecar: 'no answer',
        lagMs: null,
        commit: null,
      },
      read: null,
    }),
  },
};

describe('the live view', () => {
  it('shows per region what is written, how far everyone is, and who hears whom', () => {
    expect(renderView(VIEW)).toMatchInlineSnapshot(`
      [
        "12:41:05.250  up 00:01:23  (lag, and latencies as p50/p99, in ms; read: a linearizable one)",
        "",
        "region  journal  last record   watermark     lag  append   hears    state",
        "A       one      12:41:04.350  12:41:05.247  3.0  0.8/2.1  B not C  lane C sealed",
        "        two      12:41:04.350  12:41:05.247  3.0  0.8/2.1  B C      ok",
        "B       one      12:41:04.350  12:41:05.247  3.0  0.8/2.1           recovering",
        "        two      12:41:04.350  12:41:05.247  3.0  0.8/2.1           ok",
        "C       one      no answer     –             –    –        –        –",
        "        two      12:41:04.350  12:41:05.247  3.0  –                 ok",
        "",
        "region  crossbar      lag  database             sidecar    lag  commit   read",
        "A       12:41:05.246  4.0  primary :25401       streaming  –    1.2/4.0  3.0/12",
        "B       12:41:05.246  4.0  replica :25402       applying   6.4  –        3.0/12",
        "C       no answer     –    replica :25403 down  no answer  –    –        –",
      ]
    `);
  });

  it('fits on one line where there is no terminal', () => {
    expect(renderLine(VIEW)).toMatchInlineSnapshot(
      `"12:41:05  A: replicas 2/2 watermark 12:41:05.246 lag 4.0 append 0.8/2.1 read 3.0/12 ms | B: replicas 2/2 watermark 12:41:05.246 lag 4.0 append 0.8/2.1 read 3.0/12 ms | C: replicas 1/2 watermark – lag – append – read – ms database down"`,
    );
  });
});

function output(isTTY: boolean, columns = 40): Output & { text: string } {
  return {
    text: '',
    isTTY,
    columns,
    write(text: string) {
      this.text += text;
    },
  };
}

describe('the screen', () => {
  it('draws a view over the one before, and keeps printed lines above it', () => {
    const out = output(true);
    const screen = openScreen(out, false);
    screen.show({ lines: ['one'], summary: '' });
    screen.print('event');
    screen.show({ lines: ['two'], summary: '' });
    screen.close();
    expect(out.text.replaceAll('\u001b', '^')).toBe(
      '^[?25l^[J\none\n^[2F^[Jevent\n\none\n^[2F^[J\ntwo\n^[?25h',
    );
  });

  it('cuts lines that would wrap', () => {
    const out = output(true, 5);
    openScreen(out, false).show({ lines: ['123456789'], summary: '' });
    expect(out.text).toContain('\n1234\n');
  });

  it('prints plain lines, not more often than wanted, where there is no terminal', () => {
    const out = output(false);
    const screen = openScreen(out, false, 60_000);
    screen.print('up');
    screen.show({ lines: ['ignored'], summary: 'first' });
    screen.show({ lines: ['ignored'], summary: 'second' });
    screen.close();
    expect(out.text).toBe('up\nfirst\n');
  });

  it('prints plain lines on a terminal when asked to', () => {
    const out = output(true);
    openScreen(out, true).show({ lines: ['ignored'], summary: 'line' });
    expect(out.text).toBe('line\n');
  });
});
