import net from 'node:net';
import { closeFrame, type WebSocketClose, type WebSocketLike, type WebSocketServerLike } from './websocket-close.ts';

/** The clients of the WebSocket servers that a close was given, by their connections. */
export class WebSocketClients {
  readonly #servers: readonly WebSocketServerLike[];
  readonly #close: WebSocketClose;
  readonly #clients = new WeakMap<net.Socket, WebSocketLike>();
  /** Clients that do not tell on which connection they are. */
  readonly #unplaced = new WeakSet<WebSocketLike>();
  #hasUnplaced = false;

  constructor(servers: readonly WebSocketServerLike[], close: WebSocketClose) {
    this.#servers = servers;
    this.#close = close;
  }

  /** Looks for clients that are new since the last time. Call it before asking for many connections. */
  refresh(): void {
    for (const { clients } of this.#servers) for (const client of clients) this.#place(client);
  }

  /** Whether a client of these servers is on this connection, for those that tell. */
  isOn(program: net.Socket): boolean {
    return this.#clients.has(program);
  }

  /**
   * Says Close on a connection: through the server's own client, which sends what it still has first; or, where the
   * server was not given, as a frame of ours between two of the program's (RFC 6455 5.5.1), once nothing waits to be
   * written. The program's own WebSocket code then meets the peer's answer. False: not now.
   */
  say(program: net.Socket): boolean {
    const client = this.#clients.get(program);
    if (client !== undefined) {
      client.close(this.#close.code, this.#close.reason);
      return true;
    }
    // One of those that do not tell is on it, perhaps, and was told already.
    if (this.#hasUnplaced) return true;
    // Not before the answer to the upgrade.
    if (program.bytesWritten === 0 || program.writableLength > 0 || !program.writable) return false;
    program.write(closeFrame(this.#close));
    return true;
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
    client.close(this.#close.code, this.#close.reason);
  }
}
