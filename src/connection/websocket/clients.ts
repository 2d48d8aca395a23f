import { EventEmitter } from 'node:events';
import net from 'node:net';
import type { Close } from '../../close/close.ts';
import type { WebSocketLike } from '../../close/options.ts';
import { replaceMethod } from '../../node/replace.ts';
import { awaitsChange, isEngine, offersExtensions } from '../http1/upgrades.ts';
import { closeFrame } from './close-frame.ts';
import { clientFoundOn, hasBeatenLast, hasBuffered, isInMessage } from './found-client.ts';
import { framesOn } from './outgoing-frames.ts';

// What a library is compressing has not reached the connection yet, and a Close must not overtake it. `ws` shows how much it
// holds. Another library is taken to hold nothing when it has sent nothing for this long, in ms.
const STILL_FOR = 300;

// How long to wait for a moment in which nothing is being compressed, in ms: under a steady load there may be none.
const BEHIND_AT_MOST = 2_000;

const INTERRUPTED = 'A WebSocket was closed in the middle of a message: the deadline left no time for the rest.';

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

  /** Whether what its client sent last is the answer to a heartbeat, as far as that can be told. */
  hasOnlyBeaten(program: net.Socket): boolean {
    const client = this.#clients.get(program) ?? clientFoundOn(program);
    return client !== undefined && hasBeatenLast(client, isEngine(program));
  }

  /** Calls back when a message of the client comes, where its object shows it: it came after our Close. */
  onMessageOn(program: net.Socket, callback: () => void): void {
    const client: unknown = this.#clients.get(program) ?? clientFoundOn(program);
    if (client instanceof EventEmitter) client.on('message', () => !this.#close.clock.over.aborted && callback());
  }

  /** Calls back when the program sends to the client by its object, which no longer sends anything. */
  onSendOn(program: net.Socket, callback: () => void): void {
    const client = this.#clients.get(program) ?? clientFoundOn(program);
    if (client === undefined) return;
    const { over } = this.#close.clock;
    const { undo } = replaceMethod(client, 'send', (original) => (...args: readonly unknown[]) => {
      if (!over.aborted) callback();
      return original(client, args);
    });
    over.addEventListener('abort', undo);
  }

  /**
   * Sends Close on a connection: through the server's own client, which sends what it still has first; or, where the
   * server was not given, as a frame of ours between two of the program's messages (RFC 6455 5.5.1), once nothing waits to be
   * written. From `endsBy` on it may go into the middle of a message, but never of a frame. The program's own WebSocket code
   * then gets the peer's answer, and what the peer sends before that. `handed over`: its own object sends it, and
   * refuses what the program sends later. `impossible`: nobody knows where a frame ends.
   */
  sendClose(program: net.Socket, endsBy: number): 'sent' | 'handed over' | 'not now' | 'impossible' {
    const client = this.#clients.get(program);
    const mayInterrupt = performance.now() >= endsBy;
    if (client !== undefined) {
      if (isInMessage(client)) {
        if (!mayInterrupt) return 'not now';
        this.#close.noteDoubt(INTERRUPTED);
      }
      this.#closeClient(client);
      return 'handed over';
    }
    // A client that does not show its connection may be on it, and has its Close already.
    if (this.#hasUnplaced) return 'handed over';
    // Not before the answer to the upgrade.
    if (awaitsChange(program) || program.writableLength > 0 || !program.writable) return 'not now';
    const found = clientFoundOn(program);
    if (found === undefined) return this.#writeBetween(program, mayInterrupt);
    const isBehind = hasBuffered(found);
    if ((isBehind && !this.#isLate(program)) || (isInMessage(found) && !mayInterrupt)) return 'not now';
    if (isInMessage(found)) this.#close.noteDoubt(INTERRUPTED);
    if (isBehind) {
      this.#closeClient(found);
      return 'handed over';
    }
    program.write(closeFrame(this.#close.options.webSocketClose));
    return 'sent';
  }

  /** Writes Close where what has gone out is known to be whole. */
  #writeBetween(program: net.Socket, mayInterrupt: boolean): 'sent' | 'not now' | 'impossible' {
    if (offersExtensions(program) && !this.#isStill(program) && !this.#isLate(program)) return 'not now';
    const frames = framesOn(program);
    if (frames === undefined || frames.position.isLost) return 'impossible';
    const { hasClosed, isBetweenFrames, isBetweenMessages } = frames.position;
    if (hasClosed) return 'sent';
    if (isBetweenFrames && !isBetweenMessages && mayInterrupt) this.#close.noteDoubt(INTERRUPTED);
    const frame = closeFrame(this.#close.options.webSocketClose);
    if (isBetweenMessages || (isBetweenFrames && mayInterrupt)) {
      program.write(frame);
      return 'sent';
    }
    frames.writeAtMessageEnd(() => frame);
    return 'not now';
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
