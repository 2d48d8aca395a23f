import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import grpc from '@grpc/grpc-js';
import { WebSocket, WebSocketServer } from 'ws';
import type * as channel from '../../src/channel.ts';

// As users have it.
const { connectChannel, serveChannel } = (await import(
  new URL('../../lib/channel.js', import.meta.url).href
)) as typeof channel;

/** A client with one connection. */
export interface EchoClient {
  /** Resolves with the length of the reply. */
  ask(payload: Buffer): Promise<number>;
  close(): void;
}

/** A way to ask over a connection, and to be answered with what was asked. */
interface Contender {
  readonly title: string;
  /** Resolves with the port that it listens on. */
  serve(): Promise<number>;
  connect(port: number): Promise<EchoClient>;
}

/** All of them, each with its defaults. */
export const CHANNEL_CONTENDERS: Readonly<Record<'channel' | 'http2' | 'ws' | 'grpc', Contender>> = {
  channel: { title: 'lastcall/channel', serve: serveOurs, connect: connectOurs },
  http2: { title: 'node:http2', serve: serveHttp2, connect: connectHttp2 },
  ws: { title: 'ws, an id before each message', serve: serveWs, connect: connectWs },
  grpc: { title: 'grpc-js, unary', serve: serveGrpc, connect: connectGrpc },
};

export type ChannelContender = keyof typeof CHANNEL_CONTENDERS;

async function serveOurs(): Promise<number> {
  const server = net.createServer();
  serveChannel(server, (request) => request.bytes());
  return listen(server);
}

async function connectOurs(port: number): Promise<EchoClient> {
  const channel = connectChannel({ host: '127.0.0.1', port });
  return {
    ask: async (payload) => (await channel.request(payload)).length,
    close: () => void channel.close({ deadline: 0 }),
  };
}

async function serveHttp2(): Promise<number> {
  const server = http2.createServer();
  server.on('stream', (stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      stream.respond({ ':status': 200 });
      stream.end(Buffer.concat(chunks));
    });
  });
  return listen(server);
}

async function connectHttp2(port: number): Promise<EchoClient> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  await once(session, 'connect');
  return {
    ask: (payload) =>
      new Promise((resolve, reject) => {
        let length = 0;
        const stream = session.request({ ':method': 'POST', ':path': '/' });
        stream.on('data', (chunk: Buffer) => (length += chunk.length));
        stream.on('end', () => resolve(length));
        stream.on('error', reject);
        stream.end(payload);
      }),
    close: () => session.destroy(),
  };
}

async function serveWs(): Promise<number> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (client) => client.on('message', (message: Buffer) => client.send(message)));
  await once(server, 'listening');
  return portOf(server.address());
}

async function connectWs(port: number): Promise<EchoClient> {
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  const asked = new Map<number, (length: number) => void>();
  let last = 0;
  client.on('message', (message: Buffer) => {
    const id = message.readUInt32BE(0);
    asked.get(id)?.(message.length - 4);
    asked.delete(id);
  });
  await once(client, 'open');
  return {
    ask: (payload) =>
      new Promise((resolve) => {
        last = (last + 1) >>> 0;
        asked.set(last, resolve);
        const message = Buffer.allocUnsafe(4 + payload.length);
        message.writeUInt32BE(last);
        payload.copy(message, 4);
        client.send(message);
      }),
    close: () => client.terminate(),
  };
}

const bytes = (value: Buffer): Buffer => value;
const ECHO: grpc.MethodDefinition<Buffer, Buffer> = {
  path: '/bench.Echo/Echo',
  requestStream: false,
  responseStream: false,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
};

async function serveGrpc(): Promise<number> {
  const server = new grpc.Server();
  const echo: grpc.handleUnaryCall<Buffer, Buffer> = (call, reply) => reply(null, call.request);
  server.addService({ echo: ECHO }, { echo });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

async function connectGrpc(port: number): Promise<EchoClient> {
  // Else all clients of a process share one connection.
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), options);
  await new Promise<void>((resolve, reject) => {
    client.waitForReady(Date.now() + 10_000, (error) => (error === undefined ? resolve() : reject(error)));
  });
  return {
    ask: (payload) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(ECHO.path, bytes, bytes, payload, (error, reply) => {
          if (error === null) resolve(reply?.length ?? 0);
          else reject(error);
        });
      }),
    close: () => client.close(),
  };
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return portOf(server.address());
}

function portOf(address: ReturnType<net.Server['address']>): number {
  if (address === null || typeof address === 'string') throw new Error('The server has no port');
  return address.port;
}
