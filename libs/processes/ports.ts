/**
 * Free TCP ports on loopback, for processes that cannot be told "any". A port that was merely seen
 * free can be taken before its user binds it, by another test or by the kernel for an outgoing
 * connection. So ports come from below the kernel's ephemeral range, and each has a guard: the odd
 * number after it, on which this process listens for as long as the port is reserved. Whoever finds
 * the guard taken leaves the port alone, and the kernel frees it even after kill -9.
 *
 * A stranger that binds the very number in between still wins; the child then says so when it starts.
 */
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { MeridianError } from '../errors/errors.ts';

const FIRST = 11_000;
const LAST = 31_998;
const HOST = '127.0.0.1';

const guards = new Map<number, Server>();

/** Reserves `count` ports until they are released or this process ends. */
export async function reservePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  const slots = (LAST - FIRST) / 2 + 1;
  const start = Math.floor(Math.random() * slots);
  for (let i = 0; i < slots && ports.length < count; i++) {
    const port = FIRST + 2 * ((start + i) % slots);
    if (await reserve(port)) ports.push(port);
  }
  if (ports.length === count) return ports;
  releasePorts(ports);
  throw new MeridianError(
    'REFUSED',
    `no ${String(count)} free ports between ${String(FIRST)} and ${String(LAST)} on ${HOST}`,
  );
}

/** Gives ports back whose users have ended. */
export function releasePorts(ports: readonly number[]): void {
  for (const port of ports) {
    guards.get(port)?.close();
    guards.delete(port);
  }
}

/** true: nobody listens on the port now. */
export async function isPortFree(port: number, host = HOST): Promise<boolean> {
  const server = await listen(port, host);
  if (server === null) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

async function reserve(port: number): Promise<boolean> {
  const guard = await listen(port + 1, HOST);
  if (guard === null) return false;
  if (!(await isPortFree(port))) {
    guard.close();
    return false;
  }
  guard.unref();
  guards.set(port, guard);
  return true;
}

function listen(port: number, host: string): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => {
      resolve(null);
    });
    server.listen({ port, host, exclusive: true }, () => {
      resolve(server);
    });
  });
}
