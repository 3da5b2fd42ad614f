/**
 * Text to values and back: durations, sizes, times. What cannot be read gives null; the caller says
 * what was expected, because only it knows the option's name.
 */

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
};

/** Milliseconds; a bare number is seconds. */
export function parseDuration(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  if (match === null) return null;
  return Number(match[1]) * (DURATION_MS[match[2] ?? 's'] ?? 1);
}

export function parseBytes(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([KMG]i?B|B)?$/i.exec(text);
  if (match === null) return null;
  return Math.round(Number(match[1]) * (BYTES[(match[2] ?? 'B').toUpperCase()] ?? 1));
}

/** Digits beyond any year in seconds: such a number is microseconds. */
const MICROS_LEAST = 1e14;

/** Microseconds since 1970. */
export function parseTime(text: string, nowMicros: number): number | null {
  if (text === 'now') return nowMicros;
  if (text.startsWith('-')) {
    const ms = parseDuration(text.slice(1));
    return ms === null ? null : Math.max(0, Math.round(nowMicros - ms * 1000));
  }
  if (/^\d+$/.test(text)) {
    const value = Number(text);
    return Number.isSafeInteger(value) && (value >= MICROS_LEAST || value === 0) ? value : null;
  }
  const iso =
    /^(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:?\d\d)?$/.exec(
      text,
    );
  if (iso === null) return null;
  const [, whole = '', fraction = '', zone = 'Z'] = iso;
  const day = whole.length === 10 ? `${whole}T00:00:00` : whole.replace(' ', 'T');
  const ms = Date.parse(`${day}${zone}`);
  return Number.isNaN(ms) ? null : ms * 1000 + Number(fraction.padEnd(6, '0'));
}

/** `2026-11-21T15:12:09.123456Z`; a dash for 0, which means there is none. */
export function timeText(micros: number): string {
  if (micros === 0) return '-';
  const ms = Math.floor(micros / 1000);
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return String(micros);
  return date.toISOString().replace('Z', `${String(micros % 1000).padStart(3, '0')}Z`);
}

/** For JSON: null instead of the dash. */
export function timeOrNull(micros: number): string | null {
  return micros === 0 ? null : timeText(micros);
}

export function durationText(ms: number): string {
  const away = Math.abs(ms);
  if (away < 1) return `${Math.round(ms * 1000)} µs`;
  if (away < 10) return `${trimmed(ms, 2)} ms`;
  if (away < 1000) return `${Math.round(ms)} ms`;
  if (away < 120_000) return `${trimmed(ms / 1000, 1)} s`;
  if (away < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (away < 172_800_000) return `${trimmed(ms / 3_600_000, 1)} h`;
  return `${trimmed(ms / 86_400_000, 1)} d`;
}

export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : trimmed(value, 1)} ${units[unit] ?? ''}`;
}

/** `1 record`, `2 records`. */
export function counted(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}

/** Numbers of records one after the other: `#7`, `#7–9`. */
export function numbersText(first: number, count: number): string {
  return count <= 1 ? `#${first}` : `#${first}–${first + count - 1}`;
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}
