import type { ServerHttp2Session } from 'node:http2';
import type net from 'node:net';

/** Whether the server speaks HTTP/2; node:http2 does not export its classes. */
export function isHttp2Server(server: net.Server): boolean {
  return 'updateSettings' in server;
}

/** The HTTP/2 session on a connection: node:http2 keeps it in a property of the socket that has no name to rely on. */
export function sessionOn(program: net.Socket): ServerHttp2Session | undefined {
  return Reflect.ownKeys(program)
    .map((key): unknown => Object.getOwnPropertyDescriptor(program, key)?.value)
    .find(isSession);
}

function isSession(value: unknown): value is ServerHttp2Session {
  return typeof value === 'object' && value !== null && 'goaway' in value && 'ping' in value && 'state' in value;
}
