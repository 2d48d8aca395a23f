import net from 'node:net';
import type { Close } from '../../close/close.ts';
import type { WebSocketLike } from '../../close/options.ts';
import { serverOf } from '../../node/fields.ts';
import { isHttp1Server } from '../http1/server.ts';
import { awaitsChange, offersExtensions } from '../http1/upgrades.ts';
import { closeFrame } from './close-frame.ts';

// What a library is compressing has not reached the connection yet, and a Close must not overtake it. `ws` shows how much it
// holds. Another library is taken to hold nothing when it has sent nothing for this long, in ms.
const STILL_FOR = 300;

// How long to wait for a moment in which nothing is being compressed, in ms: under a steady load there may be none.
const BEHIND_AT_MOST = 2_000;

/** The clients of the WebSocket servers that a close was given, by their connections. */
export class WebSocketClients {
  readonly #close: Close;
  readonly #clients = new WeakMap<net.Socket, WebSocketLike>();
  /** Clients that do not show on which connection they are. */
  readonly #unplaced = new WeakSet<WebSocketLike>();
  /** How much a connection had sent at the last look, and since when it has sent no more. */
  readonly #still = new WeakMap<net.Socket, { readonly bytes: number; readonly since: number }>();
  /** Since when a connection has had messages that have not reached it. */
  readonly #behind = new WeakMap<net.Socket, number>();
  #hasUnplaced = false;

  constructor(close: Close) {
    this.#close = close;
  }

  /** Looks for clients that are new since the last time. Call it before asking for many connections. */
  refresh(): void {
    for (const { clients } of this.#close.options.webSockets) for (const client of clients) this.#place(client);
  }

  /** Whether a client is on this connection, for clients that show it. */
  isOn(program: net.Socket): boolean {
    return this.#clients.has(program) || clientFoundOn(program) !== undefined;
  }

  /**
   * Sends Close on a connection: through the server's own client, which sends what it still has first; or, where the
   * server was not given, as a frame of ours between two of the program's (RFC 6455 5.5.1), once nothing waits to be
   * written. The program's own WebSocket code then gets the peer's answer, and what the peer sends before that. False:
   * not now.
   */
  sendClose(program: net.Socket): boolean {
    const client = this.#clients.get(program);
    if (client !== undefined) {
      this.#closeClient(client);
      return true;
    }
    // A client that does not show its connection may be on it, and has its Close already.
    if (this.#hasUnplaced) return true;
    // Not before the answer to the upgrade.
    if (awaitsChange(program) || program.writableLength > 0 || !program.writable) return false;
    const found = clientFoundOn(program);
    const isBehind = found === undefined ? offersExtensions(program) && !this.#isStill(program) : hasBuffered(found);
    if (isBehind && !this.#isLate(program)) return false;
    if (found !== undefined && isBehind) this.#closeClient(found);
    else program.write(closeFrame(this.#close.options.webSocketClose));
    return true;
  }

  #isStill(program: net.Socket): boolean {
    const now = performance.now();
    const bytes = program.bytesWritten;
    const before = this.#still.get(program);
    const since = before?.bytes === bytes ? before.since : now;
    this.#still.set(program, { bytes, since });
    return now - since >= STILL_FOR;
  }

  #isLate(program: net.Socket): boolean {
    const now = performance.now();
    const since = this.#behind.get(program) ?? now;
    this.#behind.set(program, since);
    return now - since >= BEHIND_AT_MOST;
  }

  #place(client: WebSocketLike): void {
    if (this.#unplaced.has(client)) return;
    // `ws` keeps the connection there, from the handshake until it is closed; it is no part of what it documents.
    const socket: unknown = Reflect.get(client, '_socket');
    if (socket instanceof net.Socket) {
      this.#clients.set(socket, client);
      return;
    }
    if (socket === null) return;
    this.#unplaced.add(client);
    this.#hasUnplaced = true;
    this.#closeClient(client);
  }

  /** A client that throws is ended all the same, like one that does not answer. */
  #closeClient(client: WebSocketLike): void {
    try {
      const { code, reason } = this.#close.options.webSocketClose;
      client.close(code, reason);
    } catch (cause) {
      this.#close.noteThrown('webSockets', cause);
    }
  }
}

/**
 * The `ws` package's object for a connection: it keeps it in a property of the socket that has no name to rely on. It is
 * known by what it can do, and by its own word that the connection is its.
 */
function clientFoundOn(program: net.Socket): WebSocketLike | undefined {
  const server = serverOf(program);
  if (!(server instanceof net.Server) || !isHttp1Server(server)) return undefined;
  return Reflect.ownKeys(program)
    .map((key): unknown => Object.getOwnPropertyDescriptor(program, key)?.value)
    .find((value): value is WebSocketLike => isClientOn(program, value));
}

/** Whether messages wait in it for their compression, or behind one that does (`bufferedAmount`, HTML Standard 9.3). */
function hasBuffered(client: WebSocketLike): boolean {
  const amount: unknown = Reflect.get(client, 'bufferedAmount');
  return typeof amount === 'number' && amount > 0;
}

function isClientOn(program: net.Socket, value: unknown): value is WebSocketLike {
  if (typeof value !== 'object' || value === null || !('close' in value && 'terminate' in value)) return false;
  const { close, terminate } = value;
  return typeof close === 'function' && typeof terminate === 'function' && Reflect.get(value, '_socket') === program;
}
