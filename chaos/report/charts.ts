/**
 * The pictures, as SVG inside the page: faults over throughput over latency on one time axis, and the
 * operations of an anomaly. Colours and fonts are the page's (style.ts); a curve's class is its region.
 */
import type { Fault, Operation } from '../model/operation.ts';
import { escape, faultText, shortTime } from './html.ts';
import { niceStep } from './series.ts';
import type { Bin, Series } from './series.ts';

const WIDTH = 960;
const LEFT = 56;
const RIGHT = 12;
const INNER = WIDTH - LEFT - RIGHT;
const LANE_HEIGHT = 22;

/** Where a moment stands on the axis that all charts share. */
type Scale = (seconds: number) => number;

export function timeline(series: Series, faults: readonly Fault[]): string {
  const x: Scale = (seconds) => LEFT + (INNER * seconds) / series.seconds;
  const shades = faults.map((fault) => ({
    from: x(fault.fromUs / 1e6),
    to: x((fault.untilUs ?? series.seconds * 1e6) / 1e6),
  }));
  const shade = (height: number): string =>
    shades
      .map(
        ({ from, to }) =>
          `<rect class="shade" x="${px(from)}" y="0" width="${px(Math.max(1, to - from))}" height="${height}"/>`,
      )
      .join('');
  return [
    faults.length === 0 ? '' : faultLanes(faults, series.seconds, x),
    throughput(series, x, shade),
    latency(series, x, shade),
    axis(series.seconds, x),
  ].join('\n');
}

/** A bar for each fault, in as many lanes as overlap. */
function faultLanes(faults: readonly Fault[], seconds: number, x: Scale): string {
  const ends: number[] = [];
  const bars = [...faults]
    .sort((a, b) => a.fromUs - b.fromUs)
    .map((fault) => {
      const from = x(fault.fromUs / 1e6);
      const to = Math.max(from + 3, x((fault.untilUs ?? seconds * 1e6) / 1e6));
      const text = faultText(fault);
      const textWidth = text.length * 6.6;
      const reach = Math.max(to, Math.min(WIDTH, from + textWidth + 10));
      let lane = ends.findIndex((end) => end <= from);
      if (lane === -1) lane = ends.length;
      ends[lane] = reach + 4;
      const y = lane * LANE_HEIGHT + 2;
      const fits = from + textWidth < WIDTH - RIGHT;
      const place = fits ? `x="${px(from + 5)}"` : `x="${px(to - 4)}" text-anchor="end"`;
      const ended = fault.untilUs === null ? 'the end' : shortTime(fault.untilUs);
      const title = `${text}: ${shortTime(fault.fromUs)} to ${ended}`;
      return (
        `<g><title>${escape(title)}</title>` +
        `<rect class="fault" x="${px(from)}" y="${y}" width="${px(to - from)}" height="${LANE_HEIGHT - 4}" rx="3"/>` +
        `<text class="fault-name" ${place} y="${y + 13}">${escape(text)}</text></g>`
      );
    });
  return chart('Faults', ends.length * LANE_HEIGHT + 4, bars.join(''), '');
}

function throughput(series: Series, x: Scale, shade: (height: number) => string): string {
  const height = 170;
  const { binSeconds, regions } = series;
  const rates = regions.flatMap(({ bins }) => bins.map((bin) => bin.succeeded / binSeconds));
  const most = Math.max(1, ...rates);
  const step = niceStep(most / 4);
  const top = Math.ceil(most / step) * step;
  const y = (rate: number): number => height - 8 - ((height - 24) * rate) / top;
  const grid = Array.from({ length: Math.round(top / step) + 1 }, (_, i) =>
    gridLine(y(i * step), String(Math.round(i * step))),
  );
  const curves = regions.map(({ region, bins }, i) => {
    const points = bins.map((bin) => point(x, bin, binSeconds, y(bin.succeeded / binSeconds)));
    const troubled = bins
      .filter((bin) => bin.troubled > 0)
      .map((bin) => {
        const title = `${region}, ${bin.from.toFixed(1)} s: ${bin.troubled} without success`;
        const at = px(x(bin.from + binSeconds / 2));
        return `<circle class="trouble" cx="${at}" cy="${px(height - 8)}" r="${px(2 + Math.min(4, Math.log2(bin.troubled + 1)))}"><title>${escape(title)}</title></circle>`;
      });
    return `<polyline class="curve region-${i}" points="${points.join(' ')}"/>${troubled.join('')}`;
  });
  const note = 'operations per second, by region; red: failed, or nobody knows';
  return chart('Throughput', height, shade(height) + grid.join('') + curves.join(''), note);
}

/** Logarithmic: a pause of seconds and a round trip are both to be seen. */
function latency(series: Series, x: Scale, shade: (height: number) => string): string {
  const height = 190;
  const all = series.regions.flatMap(({ bins }) =>
    bins.flatMap(({ median, p99 }) => [median, p99].filter((it) => it !== null)),
  );
  const low = Math.floor(Math.log10(Math.max(0.1, Math.min(1000, ...all))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(1, ...all))));
  const y = (ms: number): number =>
    height - 10 - ((height - 26) * (Math.log10(Math.max(ms, 0.1)) - low)) / (high - low);
  const grid = Array.from({ length: high - low + 1 }, (_, i) => {
    const ms = 10 ** (low + i);
    return gridLine(y(ms), ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`);
  });
  const curves = series.regions.map(({ bins }, i) =>
    (['p99', 'median'] as const)
      .map((which) => {
        const line: string[] = [];
        const parts: string[] = [];
        const flush = (): void => {
          if (line.length === 1) line.push(...line);
          if (line.length > 1) {
            parts.push(`<polyline class="curve ${which} region-${i}" points="${line.join(' ')}"/>`);
          }
          line.length = 0;
        };
        for (const bin of bins) {
          const ms = bin[which];
          if (ms === null) flush();
          else line.push(point(x, bin, series.binSeconds, y(ms)));
        }
        flush();
        return parts.join('');
      })
      .join(''),
  );
  const note = 'of acknowledged appends, by region: median, and thin the 99th percentile';
  return chart('Latency', height, shade(height) + grid.join('') + curves.join(''), note);
}

function axis(seconds: number, x: Scale): string {
  const step = niceStep(seconds / 10);
  const ticks = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => {
    const at = px(x(i * step));
    return (
      `<line class="tick" x1="${at}" x2="${at}" y1="0" y2="5"/>` +
      `<text class="label" x="${at}" y="18" text-anchor="middle">${Number((i * step).toFixed(2))} s</text>`
    );
  });
  return `<svg viewBox="0 0 ${WIDTH} 24" role="presentation">${ticks.join('')}</svg>`;
}

/** Operations under each other on a time axis of their own: what overlapped, and what did not. */
export function operationsChart(operations: readonly Operation[], endUs: number): string {
  const from = Math.min(...operations.map(({ invokedUs }) => invokedUs));
  const to = Math.max(...operations.map((it) => it.completedUs ?? endUs));
  const span = Math.max(1, to - from);
  const x = (us: number): number => 8 + ((WIDTH - 16) * (us - from)) / span;
  const bars = operations.map((operation, i) => {
    const y = i * 16 + 4;
    const { invokedUs, completedUs, outcome, id } = operation;
    const width = Math.max(2, x(completedUs ?? endUs) - x(invokedUs));
    const title = `operation ${id}: ${shortTime(invokedUs)} to ${completedUs === null ? 'never answered' : shortTime(completedUs)}`;
    return `<rect class="operation ${outcome.kind}" x="${px(x(invokedUs))}" y="${y}" width="${px(width)}" height="11" rx="2"><title>${title}</title></rect>`;
  });
  const label = `from ${shortTime(from)} to ${shortTime(to)}`;
  const height = operations.length * 16 + 8;
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${label}"><title>${label}</title>${bars.join('')}</svg>`;
}

function chart(name: string, height: number, content: string, note: string): string {
  const caption = note === '' ? '' : ` <span>${escape(note)}</span>`;
  return (
    `<h3>${escape(name)}${caption}</h3>` +
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(name)}">${content}</svg>`
  );
}

function gridLine(y: number, label: string): string {
  return (
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${px(y)}" y2="${px(y)}"/>` +
    `<text class="label" x="${LEFT - 8}" y="${px(y + 4)}" text-anchor="end">${escape(label)}</text>`
  );
}

function point(x: Scale, bin: Bin, binSeconds: number, y: number): string {
  return `${px(x(bin.from + binSeconds / 2))},${px(y)}`;
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}
