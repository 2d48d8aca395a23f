/** A WebSocket server object, as the `ws` package makes it, for as much as a close needs of it. */
export interface WebSocketServerLike {
  readonly clients: Iterable<WebSocketLike>;
}

/** One client of such a server. */
export interface WebSocketLike {
  close(code: number, reason: string): void;
  terminate(): void;
}

/** What a WebSocket client is told: a code of RFC 6455 7.4, and a reason of at most 123 bytes. */
export interface WebSocketClose {
  readonly code: number;
  readonly reason: string;
}

/** RFC 6455 5.5: a control frame carries 125 bytes at most, two of which are the code. */
export const LONGEST_REASON = 123;

/** Whether an endpoint may send this code (RFC 6455 7.4, and the registry of codes: 1012 service restart, 1013, 1014). */
export function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

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
