import type { WebSocketClose } from '../../close/options.ts';

/** The Close frame of a server, which masks nothing (RFC 6455 5.1, 5.5.1). */
export function closeFrame({ code, reason }: WebSocketClose): Buffer {
  const text = Buffer.from(reason);
  const frame = Buffer.alloc(4 + text.length);
  frame.writeUInt8(0x88, 0);
  frame.writeUInt8(2 + text.length, 1);
  frame.writeUInt16BE(code, 2);
  text.copy(frame, 4);
  return frame;
}
