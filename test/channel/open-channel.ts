/** Channels over real sockets, which end with their scope. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import {
  type Channel,
  type ChannelHandler,
  type ChannelServer,
  type ConnectChannelOptions,
  connectChannel,
  LastCallError,
  type LastCallErrorCode,
  type ServeChannelOptions,
  serveChannel,
} from '../../src/channel.ts';
import { makeFolder } from '../harness/folders.ts';
import type { Scope } from '../harness/scope.ts';
import { until as untilNamed } from '../harness/wait.ts';

/** Answers with the payload of the request. */
export const echo: ChannelHandler = (request) => request.bytes();

export interface Served {
  readonly server: net.Server;
  readonly channel: ChannelServer;
  readonly target: { readonly host: string; readonly port: number } | { readonly path: string };
  /** The errors that `onError` got. */
  readonly errors: unknown[];
  /** All connections that were accepted. */
  readonly sockets: Set<net.Socket>;
}

/** Serves on a free port, or on a Unix socket. */
export async function serve(
  scope: Scope,
  handler: ChannelHandler = echo,
  options: ServeChannelOptions = {},
  { server = net.createServer(), overUnix = false }: { readonly server?: net.Server; readonly overUnix?: boolean } = {},
): Promise<Served> {
  const errors: unknown[] = [];
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket));
  const channel = serveChannel(server, handler, { onError: (error) => errors.push(error), ...options });
  const path = overUnix ? join(scope.use(makeFolder()).path, 'socket') : undefined;
  server.listen(path === undefined ? { host: '127.0.0.1', port: 0 } : { path });
  await once(server, 'listening');
  scope.defer(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { server, channel, target: path === undefined ? { host: '127.0.0.1', port } : { path }, errors, sockets };
}

/** A client that is closed at the end of the scope, with all requests under way. */
export function connect(
  scope: Scope,
  { target }: Pick<Served, 'target'>,
  options: ConnectChannelOptions = {},
): Channel {
  const channel = connectChannel(target, options);
  scope.defer(() => channel.close({ deadline: 0 }));
  return channel;
}

/** A plain socket to the server, for handmade frames. */
export async function connectRaw(scope: Scope, { target }: Pick<Served, 'target'>): Promise<net.Socket> {
  const socket = net.connect(target);
  socket.on('error', () => {});
  scope.defer(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Asserts that a promise rejects with a LastCallError of this code. Resolves with the error. */
export async function rejectsWith(promise: Promise<unknown>, code: LastCallErrorCode): Promise<LastCallError> {
  const error: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof LastCallError, `no error where ${code} was expected: ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}

/** A promise, and the function that resolves it. */
export function deferred<Value>(): { readonly promise: Promise<Value>; readonly resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/** Resolves when the condition holds. If it never does, the error shows the condition's source. */
export async function until(isSo: () => boolean): Promise<void> {
  await untilNamed(String(isSo), isSo);
}

/** Closes a server without regard to its channel. */
export async function closePlainly(server: net.Server, sockets: ReadonlySet<net.Socket>): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  for (const socket of sockets) socket.destroy();
  await closed;
}
