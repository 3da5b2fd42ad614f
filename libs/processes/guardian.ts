/**
 * The guardian: one small process per parent that ends the parent's children when the parent is
 * gone, however it went (exit, signal, crash, kill -9). It holds the read end of a pipe; the kernel
 * closes the pipe with the parent, and that is the whole detection.
 *
 * Why a process and not only `exitWithParent`: a Postgres does not watch its stdin, and a child that
 * is paused or looping cannot watch anything. Why no signal handlers: they would take SIGINT away
 * from the program that uses this library.
 *
 * It does not restart anything, and it knows children only by pid: each child leads its own process
 * group, so that its own children end with it.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';

/** Children get this long after their signal before SIGKILL. */
const GRACE_MS = 3_000;

/**
 * Runs in the guardian. A string, not a module: it must start from sources and from built code alike.
 * Protocol, one line each: `+pid SIGNAL` to watch, `-pid` when the parent has seen it end.
 */
const PROGRAM = `
const watched = new Map();
let rest = '';
const send = (pid, signal) => {
  try { process.kill(-pid, signal); return true; } catch { return false; }
};
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('SIGHUP', () => {});
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  const lines = (rest + text).split('\\n');
  rest = lines.pop();
  for (const line of lines) {
    const [pid, signal] = line.slice(1).split(' ');
    if (line[0] === '+') watched.set(Number(pid), signal);
    else watched.delete(Number(pid));
  }
});
process.stdin.on('close', () => {
  for (const [pid, signal] of watched) {
    send(pid, 'SIGCONT');
    send(pid, signal);
  }
  const deadline = Date.now() + ${String(GRACE_MS)};
  const check = () => {
    const late = Date.now() > deadline;
    let alive = 0;
    for (const pid of watched.keys()) if (send(pid, late ? 'SIGKILL' : 0)) alive++;
    if (alive === 0 || late) process.exit(0);
    setTimeout(check, 20);
  };
  check();
});
`;

let guardian: ChildProcess | undefined;

/** From now on `pid` (leader of its group) gets `signal`, then SIGKILL, when this process is gone. */
export function guard(pid: number, signal: NodeJS.Signals): void {
  tell(`+${String(pid)} ${signal}\n`);
}

/** The process has ended and been reaped: its pid may belong to someone else soon. */
export function release(pid: number): void {
  tell(`-${String(pid)}\n`);
}

function tell(line: string): void {
  guardian ??= start();
  guardian.stdin?.write(line);
}

function start(): ChildProcess {
  const child = spawn(process.execPath, ['-e', PROGRAM], {
    detached: true, // Ctrl-C reaches the terminal's foreground group; the guardian must outlive it
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {},
  });
  child.stdin.on('error', () => undefined); // it was killed: children still exit with their stdin
  child.on('error', () => undefined);
  // The guardian must not keep this process alive: it is here for the time after.
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  return child;
}
