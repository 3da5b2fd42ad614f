/** Numbers and times as people read them: short, with their unit, the same everywhere. */

const count = new Intl.NumberFormat('en');

/** What is not known is a dash, never a nought. */
export const NONE = '–';

export function number(value) {
  return count.format(Number(value));
}

/** From seconds. */
export function duration(seconds) {
  const ms = seconds * 1000;
  if (Math.abs(ms) < 1) return `${Math.round(ms * 1000)} µs`;
  if (Math.abs(ms) < 10) return `${ms.toFixed(1)} ms`;
  if (Math.abs(ms) < 1000) return `${Math.round(ms)} ms`;
  if (Math.abs(seconds) < 120) return `${seconds.toFixed(1)} s`;
  if (Math.abs(seconds) < 7200) return `${Math.round(seconds / 60)} min`;
  if (Math.abs(seconds) < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export function bytes(value) {
  let size = Number(value);
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (size < 1024)
      return `${size < 10 && unit !== 'B' ? size.toFixed(1) : Math.round(size)} ${unit}`;
    size /= 1024;
  }
  return `${size.toFixed(1)} TiB`;
}

/** Of a latency distribution: median and 99th percentile; a dash without any lately. */
export function latency(distribution) {
  if (distribution === undefined || Number(distribution.count) === 0) return NONE;
  return `${duration(distribution.p50Seconds)} / ${duration(distribution.p99Seconds)}`;
}

/** `15:12:09.123`, local; from microseconds. */
export function time(micros) {
  if (Number(micros) === 0) return NONE;
  const date = new Date(Number(micros) / 1000);
  const pad = (value, digits = 2) => String(value).padStart(digits, '0');
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => pad(part));
  return `${clock.join(':')}.${pad(date.getMilliseconds(), 3)}`;
}

/** The same with the day, where it is not today. */
export function dayAndTime(micros) {
  if (Number(micros) === 0) return NONE;
  const date = new Date(Number(micros) / 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  const day = `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')}`;
  return isToday ? time(micros) : `${day} ${time(micros)}`;
}
