import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { WebSocketServer } from 'ws';
import type { Addresses, ServerKind } from '../fixtures/connection/accounting-clients.ts';

// Of what comes later, in milliseconds.
const LATER = 150;
const PACE = 10;
const BIG = Buffer.alloc(4_000_000);

let pathsGiven = 0;

/** The servers that are closed together, with what their program sees of its connections. */
export class AccountingServers {
  readonly all: readonly net.Server[];
  readonly webSockets: WebSocketServer;
  readonly #kinds: readonly ServerKind[];
  /** Every connection that the program was given, by the kind of its server. */
  readonly #accepted = new Map<net.Socket, ServerKind>();

  constructor(kinds: readonly ServerKind[], certificate: object) {
    this.#kinds = kinds;
    this.webSockets = new WebSocketServer({ noServer: true });
    this.all = kinds.map((kind) => {
      const server = createServer(kind, certificate, this.webSockets);
      return server.on('connection', (socket: net.Socket) => void this.#accepted.set(socket, kind));
    });
  }

  async listen(): Promise<Addresses> {
    const addresses = await Promise.all(
      this.all.map(async (server, index) => {
        const where = this.#kinds[index] === 'unix' ? { path: newPath() } : { port: 0, host: '127.0.0.1' };
        await once(server.listen(where), 'listening');
        const address = server.address();
        return [this.#kinds[index], typeof address === 'string' ? address : address?.port];
      }),
    );
    return Object.fromEntries(addresses);
  }

  /** How many connections the program was given. */
  get accepted(): number {
    return this.#accepted.size;
  }

  get acceptedByUnix(): number {
    return [...this.#accepted.values()].filter((kind) => kind === 'unix').length;
  }

  /** Those that are open. */
  get open(): number {
    return [...this.#accepted.keys()].filter((socket) => !socket.destroyed).length;
  }

  /** Only what is open is of interest from now on. */
  forgetClosed(): void {
    for (const socket of this.#accepted.keys()) if (socket.destroyed) this.#accepted.delete(socket);
  }

  /** The sockets of these servers, listeners included, that keep the process alive. */
  activeHandles(): number {
    const list: unknown = Reflect.get(process, '_getActiveHandles');
    const handles: readonly unknown[] = typeof list === 'function' ? list.call(process) : [];
    const isOurs = (handle: unknown): boolean =>
      this.all.includes(handle as net.Server) || this.#accepted.has(handle as net.Socket);
    return handles.filter(isOurs).length;
  }

  /** Whatever came of the close. */
  end(): void {
    for (const socket of this.#accepted.keys()) socket.destroy();
    for (const server of this.all) if (server.listening) net.Server.prototype.close.call(server);
  }
}

function createServer(kind: ServerKind, certificate: object, webSockets: WebSocketServer): net.Server {
  // Node's responses over HTTP/2 are made to be used like the others.
  const overHttp2 = answer as (request: object, response: object) => void;
  switch (kind) {
    case 'http':
      return http.createServer(answer).on('upgrade', (request, socket, head) => {
        webSockets.handleUpgrade(request, socket, head, (client) => client.on('error', () => client.terminate()));
      });
    case 'https':
      return https.createServer(certificate, answer).on('tlsClientError', () => {});
    case 'h2c':
      return http2.createServer(overHttp2);
    default:
      return net.createServer(talk);
  }
}

function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  request.on('error', () => {});
  response.on('error', () => {});
  const end = (): void => void response.end('served\n');
  if (request.url === '/now') end();
  else if (request.url === '/later') setTimeout(end, LATER);
  else if (request.url === '/big') response.end(BIG);
  else if (request.url === '/body') request.resume().on('end', end);
  else if (request.url === '/events') {
    response.setHeader('Content-Type', 'text/event-stream');
    response.write('data: 1\n\n');
  }
  // Else never.
}

function talk(socket: net.Socket): void {
  socket.on('error', () => {});
  socket.on('data', (bytes: Buffer) => {
    const words = bytes.toString('latin1', 0, 5);
    if (words === 'write') writeOn(socket);
    else if (socket.writable) socket.write(words === 'big' ? BIG : bytes);
  });
}

function writeOn(socket: net.Socket): void {
  const timer = setInterval(() => {
    if (socket.writable) socket.write('a line\n');
  }, PACE);
  socket.once('close', () => clearInterval(timer));
}

function newPath(): string {
  pathsGiven += 1;
  return path.join(tmpdir(), `lastcall-accounting-${process.pid}-${pathsGiven}.sock`);
}
