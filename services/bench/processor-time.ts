/** Processor time a process has used, from /proc (proc(5)): shows who works, not who waits. */
import { readFileSync } from 'node:fs';

/** Linux counts in USER_HZ, which is 100 on every platform Node supports. */
const TICKS_PER_SECOND = 100;

/** Seconds of user and system time of the process so far; null where /proc does not tell. */
export function processorSeconds(pid: number): number | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name may hold spaces and parentheses: fields count from behind the last one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return null;
  }
}
