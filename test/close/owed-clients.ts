import { type EventEmitter, once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { OwingPorts } from '../fixtures/close/owing-servers.ts';

/** How a client speaks to the servers of the fixture close/owing-server. */
export const MANNERS = [
  'response',
  'two requests',
  'event source',
  'posted events',
  'stream',
  'WebSocket',
  'raw',
] as const;

/** One client: what it asks for, and how. Times are in ms. */
export interface OwedClient {
  readonly manner: (typeof MANNERS)[number];
  /** How many pieces it asks for; a WebSocket or raw client asks for one: after an answer nothing more is owed to it. */
  readonly count: number;
  /** Time before each piece. */
  readonly every: number;
  /** Time between its two requests. */
  readonly pause: number;
}

/**
 * What a client saw: `whole`: all that it was owed. `lost`: it was connected and had asked, and did not get all. `unasked`: its
 * connection ended badly while it was owed nothing. `refused`: it was never connected, or its stream was never processed.
 */
export type Saw = 'whole' | 'lost' | 'unasked' | 'refused';

const HOST = '127.0.0.1';
const PIECE = 'piece;';

/** Connects, asks, and resolves with what the client saw. `onAsked` is called when it has sent what it asks. */
export async function beClient(client: OwedClient, ports: OwingPorts, onAsked: () => void): Promise<Saw> {
  switch (client.manner) {
    case 'stream':
      return askForStream(client, ports.h2c, onAsked);
    case 'WebSocket':
      return askByWebSocket(client, ports.http, onAsked);
    case 'raw':
      return askRaw(client, ports.raw, onAsked);
    default:
      return askByHttp(client, ports.http, onAsked);
  }
}

async function askByHttp(client: OwedClient, port: number, onAsked: () => void): Promise<Saw> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const first = await request(client, port, agent, onAsked);
    if (client.manner !== 'two requests' || first.saw !== 'whole') return first.saw;
    const { socket, isLast } = first;
    if (isLast || socket.destroyed || socket.readableEnded) return 'whole';
    const ended = closeOf(socket).then(() => (socket.errored === null ? 'whole' : 'unasked') satisfies Saw);
    const asks = sleep(client.pause).then(() => undefined);
    const before = await Promise.race([ended, asks]);
    if (before !== undefined) return before;
    return (await request(client, port, agent, () => {})).saw;
  } finally {
    agent.destroy();
  }
}

interface Answered {
  readonly saw: Saw;
  readonly socket: net.Socket;
  /** Whether the response says that it is the connection's last. */
  readonly isLast: boolean;
}

async function request(
  { manner, count, every }: OwedClient,
  port: number,
  agent: http.Agent,
  onAsked: () => void,
): Promise<Answered> {
  const isEvents = manner === 'event source' || manner === 'posted events';
  const asked = http.request({
    host: HOST,
    port,
    agent,
    method: manner === 'posted events' ? 'POST' : 'GET',
    path: `/${isEvents ? 'events' : 'pieces'}/${count}/${every}`,
    headers: isEvents ? { accept: 'text/event-stream' } : {},
  });
  const failed = closeOf(asked);
  asked.on('error', () => {});
  asked.end();
  const [socket] = (await once(asked, 'socket')) as [net.Socket];
  if (socket.connecting) {
    const isConnected = await Promise.race([once(socket, 'connect').then(() => true), failed.then(() => false)]).catch(
      () => false,
    );
    if (!isConnected) return { saw: 'refused', socket, isLast: true };
  }
  onAsked();
  const answered = new Promise<http.IncomingMessage>((resolve) => asked.on('response', resolve));
  const response = await Promise.race([answered, failed]);
  if (response === undefined) return { saw: 'lost', socket, isLast: true };
  let got = '';
  response.setEncoding('utf8').on('data', (piece: string) => (got += piece));
  await closeOf(response);
  const isLast = response.headers.connection === 'close';
  return { saw: sawOf(manner, got, response.complete, count), socket, isLast };
}

function sawOf(manner: OwedClient['manner'], got: string, isComplete: boolean, count: number): Saw {
  const isAll = isComplete && got.split(PIECE).length - 1 === count;
  // An event source connects again where the stream ends between two events.
  const isTakenUp = manner === 'event source' && (got === '' || got.endsWith('\n\n'));
  return isAll || isTakenUp ? 'whole' : 'lost';
}

async function askForStream({ count, every }: OwedClient, port: number, onAsked: () => void): Promise<Saw> {
  const session = http2.connect(`http://${HOST}:${port}`);
  session.on('error', () => {});
  try {
    const isConnected = await Promise.race([
      once(session, 'connect').then(() => true),
      closeOf(session).then(() => false),
    ]).catch(() => false);
    if (!isConnected) return 'refused';
    const stream = session.request({ ':path': `/${count}/${every}` });
    stream.on('error', () => {});
    const closed = closeOf(stream);
    onAsked();
    const got = await text(stream).catch(() => '');
    await closed;
    if (stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM) return 'refused';
    return stream.rstCode === 0 && got === PIECE.repeat(count) ? 'whole' : 'lost';
  } finally {
    session.destroy();
  }
}

async function askByWebSocket({ every }: OwedClient, port: number, onAsked: () => void): Promise<Saw> {
  const socket = new WebSocket(`ws://${HOST}:${port}`);
  let error: NodeJS.ErrnoException | undefined;
  socket.on('error', (cause) => (error = cause));
  const closed = closeOf(socket);
  let isAnswered = false;
  socket.on('message', () => {
    isAnswered = true;
    socket.close();
  });
  socket.on('open', () => {
    socket.send(`1 ${every}`);
    onAsked();
  });
  await closed;
  if (error?.code === 'ECONNREFUSED') return 'refused';
  return isAnswered ? 'whole' : 'lost';
}

async function askRaw({ every }: OwedClient, port: number, onAsked: () => void): Promise<Saw> {
  const socket = net.connect(port, HOST);
  let error: NodeJS.ErrnoException | undefined;
  socket.on('error', (cause) => (error = cause));
  const closed = closeOf(socket);
  let got = '';
  socket.setEncoding('utf8').on('data', (piece: string) => {
    got += piece;
    if (got === PIECE) socket.end();
  });
  socket.on('connect', () => {
    socket.write(`1 ${every}\n`);
    onAsked();
  });
  await closed;
  if (error?.code === 'ECONNREFUSED') return 'refused';
  return got === PIECE ? 'whole' : 'lost';
}

/** Resolves when it is closed, whether by an error or not. */
function closeOf(emitter: EventEmitter): Promise<undefined> {
  return new Promise((resolve) => emitter.once('close', () => resolve(undefined)));
}
