import type net from 'node:net';
import { MSG_DONTWAIT, MSG_NOSIGNAL } from '../../linux/constants.ts';
import { loadLibc } from '../../linux/libc.ts';
import { descriptorOf, writeQueueSize } from '../../node/fields.ts';

/** GOAWAY with the highest stream there can be, and no error (RFC 9113 6.8): a server's notice that it will stop. */
const NOTICE = Buffer.from([0, 0, 8, 0x7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

/** The bytes of a GOAWAY without debug data. */
export const GOAWAY_LENGTH: number = NOTICE.length;

/**
 * Sends the notice past Node, which cannot send it. That is safe between two frames: the server has sent its preface (RFC 9113
 * 3.4), and nothing that it wrote waits in libuv. (Node's own socket.write would abort the process.)
 */
export function sendNotice(transport: net.Socket): 'sent' | 'not now' | 'impossible' {
  const fd = descriptorOf(transport);
  const loaded = loadLibc();
  if (fd === undefined || !loaded.available) return 'impossible';
  if (transport.bytesWritten === 0 || writeQueueSize(transport) > 0) return 'not now';
  let sent = 0;
  // A part of it would end the session: at the edge of a full buffer the kernel may take less than all.
  for (let attempt = 0; attempt < 100 && sent < NOTICE.length; attempt++) {
    const rest = NOTICE.subarray(sent);
    const taken = loaded.libc.send(fd, rest, rest.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken > 0) sent += taken;
    else if (sent === 0) return 'not now';
  }
  if (sent === NOTICE.length) return 'sent';
  transport.destroy();
  return 'not now';
}
