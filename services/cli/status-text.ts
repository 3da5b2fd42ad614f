/** The status of an instance as tables for people. Dashes stand for what is not known. */
import { columns } from './columns.ts';
import type { InstanceView, LatencyView, ReplicaView } from './status-view.ts';
import { bytesText, durationText, timeText } from './units.ts';

export function statusText(view: InstanceView, problems: readonly string[]): string {
  const answering = view.replicas.filter(({ answers }) => answers).length;
  const heading = `${view.cluster}/${view.instance}  ${view.time}  ${answering} of ${view.replicas.length} replicas answer\n`;
  const findings =
    problems.length === 0
      ? 'no problems\n'
      : `problems\n${problems.map((problem) => `  ${problem}\n`).join('')}`;
  return [
    heading,
    replicaTable(view),
    'who hears whom (row hears column; round trip, and how far the clock of the column is ahead)\n' +
      hearingTable(view),
    'lanes (for each replica: on disk / committed / last)\n' + laneTable(view),
    findings,
  ].join('\n');
}

function replicaTable({ replicas }: InstanceView): string {
  const head = [
    ...['region', 'state', 'version', 'up', 'watermark', 'lag', 'entries', 'append p50/p99'],
    ...['sync p50/p99', 'clients', 'disk free', 'log'],
  ];
  const rows = replicas.map((replica) => {
    const { region, state, error } = replica;
    if (state === null) return [region, `no answer (${error?.reason ?? '?'})`];
    return [
      region,
      stateText(replica),
      state.version,
      durationText(state.uptimeSeconds * 1000),
      timeText(state.watermark),
      durationText(state.watermarkLagMs),
      String(state.releasedEntries),
      latencyText(state.appendLatency),
      latencyText(state.syncLatency),
      `${state.sessions} + ${state.readers}`,
      state.disk.totalBytes === 0 ? '-' : bytesText(state.disk.freeBytes),
      bytesText(state.disk.logBytes),
    ];
  });
  return columns([head, ...rows], { right: [3, 5, 6, 7, 8, 9, 10, 11], indent: '  ' });
}

function stateText({ state }: ReplicaView): string {
  if (state === null) return '-';
  if (!state.voting) return 'recovering';
  if (!state.clockSafe) return 'clock unsafe';
  if (state.backlogEntries > 0) return `replaying ${state.backlogEntries}`;
  return state.witness ? 'witness' : 'ok';
}

function hearingTable({ replicas, hears }: InstanceView): string {
  const names = replicas.map(({ region }) => region);
  const rows = replicas.map(({ region: listener, state }) => [
    listener,
    ...names.map((speaker) => {
      if (speaker === listener) return '';
      const does = hears[listener]?.[speaker] ?? null;
      if (does === null) return '?';
      if (!does) return 'no';
      const peer = state?.peers.find(({ region }) => region === speaker);
      if (peer?.roundTripMs == null) return 'yes';
      const offset = peer.clockOffsetMs ?? 0;
      const sign = offset < 0 ? '−' : '+';
      return `${durationText(peer.roundTripMs)}, ${sign}${durationText(Math.abs(offset))}`;
    }),
  ]);
  return columns([['', ...names], ...rows], { indent: '  ' });
}

function laneTable({ replicas }: InstanceView): string {
  const known = replicas.flatMap(({ state }) => (state === null ? [] : [state]));
  const lanes = [0, 1, 2].flatMap((lane) => {
    // The highest epoch anybody knows tells the writer.
    const seen = known.flatMap(({ lanes: all }) => all.filter((each) => each.lane === lane));
    const [first, ...more] = seen;
    if (first === undefined) return [];
    return [more.reduce((best, each) => (each.epoch > best.epoch ? each : best), first)];
  });
  const rows = lanes.map(({ lane, home, epoch, writer, sealed }) => [
    String(lane),
    home,
    String(epoch),
    sealed ? `sealed by ${writer}` : 'open',
    ...replicas.map(({ state }) => {
      const own = state?.lanes.find((each) => each.lane === lane);
      if (own === undefined) return '-';
      return `${own.syncedIndex} / ${own.committedIndex} / ${own.lastIndex}`;
    }),
  ]);
  const head = ['lane', 'home', 'epoch', 'state', ...replicas.map(({ region }) => region)];
  return columns([head, ...rows], { right: [2], indent: '  ' });
}

function latencyText({ count, p50Ms, p99Ms }: LatencyView): string {
  return count === 0 ? '-' : `${figure(p50Ms)}/${figure(p99Ms)} ms`;
}

function figure(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : ms.toFixed(0);
}
