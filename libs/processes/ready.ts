/** Whether somebody accepts connections on a port. */
import { connect } from 'node:net';

const CONNECT_MS = 1_000;

export function portReady(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host });
    const answer = (ready: boolean) => () => {
      socket.destroy();
      resolve(ready);
    };
    socket.setTimeout(CONNECT_MS, answer(false));
    socket.once('connect', answer(true));
    socket.once('error', answer(false));
  });
}
