/** A server with a channel, in a process of its own, and the floods for it. */
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Channel, connectChannel } from '../../src/channel.ts';
import type { FloodedMeasure, FloodedOrder, FloodedSends } from '../fixtures/channel/channel-flooded.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { within } from '../harness/wait.ts';
import { frame, hello, WireReader } from './wire.ts';

/** What a client sends again and again, without reading. */
export interface Flood {
  readonly greeting: Buffer;
  next(count: number): Buffer;
  /** How often it is sent. Default: until the server takes no more. */
  readonly count?: number;
}

/** For `await using`: its clients end first. */
export class FloodedServer implements AsyncDisposable {
  readonly #scope = new Scope();
  readonly #process: TestProcess<FloodedSends>;
  #port = 0;
  /** Bytes of all floods. */
  #sent = 0;

  private constructor(options: object) {
    const args = [JSON.stringify(options)];
    this.#process = this.#scope.use(startFixture('channel/channel-flooded', { args, execArgv: ['--expose-gc'] }));
  }

  /** Starts it with these options of serveChannel, and `reads` of the fixture. */
  static async start(options: object): Promise<FloodedServer> {
    const server = new FloodedServer(options);
    server.#port = await server.#process.next('port');
    return server;
  }

  measure(): Promise<FloodedMeasure> {
    this.#order({ measure: true });
    return this.#process.next('measured');
  }

  /** A client that keeps to the protocol. */
  connect(): Channel {
    const channel = connectChannel({ host: '127.0.0.1', port: this.#port });
    this.#scope.defer(() => channel.close({ deadline: 0 }));
    return channel;
  }

  /** Floods it over several connections until it takes no more, has ended them, or got all. Resolves with the number of bytes sent. */
  async flood(connections: number, flood: Flood): Promise<number> {
    const over = new AbortController();
    const floods = Promise.all(Array.from({ length: connections }, () => this.#floodOne(flood, over.signal)));
    // A flood with a count is read to its end.
    const ends = flood.count === undefined ? [floods, this.#untilQuiet(over.signal)] : [floods];
    await within('the end of the floods', Promise.race(ends), 120_000);
    over.abort();
    // Nothing of it goes on when the server ends.
    await Promise.all(ends);
    return (await floods).reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Sends a frame slowly, byte by byte, and never its end. */
  async drip(): Promise<WireReader> {
    const socket = await this.#connect();
    const reader = new WireReader(socket);
    socket.write(Buffer.concat([hello(), frame('request', 1, Buffer.alloc(65_536)).subarray(0, 100)]));
    const timer = setInterval(() => socket.write('x'), 500);
    socket.on('close', () => clearInterval(timer));
    return reader;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]();
  }

  async #floodOne({ greeting, next, count = 2_000 }: Flood, over: AbortSignal): Promise<number> {
    const socket = await this.#connect();
    socket.pause();
    socket.write(greeting);
    let sent = greeting.length;
    for (let times = 0; times < count && socket.writable && !over.aborted; times++) {
      const bytes = next(times);
      sent += bytes.length;
      this.#sent += bytes.length;
      if (!socket.write(bytes)) await drains(socket, over);
    }
    return sent;
  }

  /**
   * Resolves when nothing moves on any connection, on either side. It looks ten times, because a receiver with little room may
   * announce it only after the kernel's timer has probed it, after 200 ms (tcp_input.c, the zero window probe).
   */
  async #untilQuiet(over: AbortSignal): Promise<void> {
    let last = '';
    for (let same = 0; same < 10 && !over.aborted; ) {
      await sleep(50, undefined, { signal: over }).catch(() => {});
      this.#order({ read: true });
      const moved = `${await this.#process.next('bytesRead')} ${this.#sent}`;
      same = moved === last ? same + 1 : 0;
      last = moved;
    }
  }

  async #connect(): Promise<net.Socket> {
    const socket = net.connect({ host: '127.0.0.1', port: this.#port });
    socket.on('error', () => {});
    this.#scope.defer(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  }

  #order(order: FloodedOrder): void {
    this.#process.send(order);
  }
}

/** Resolves when the socket takes more, or has ended. */
async function drains(socket: net.Socket, over: AbortSignal): Promise<void> {
  const settled = new AbortController();
  const signal = AbortSignal.any([over, settled.signal]);
  await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]).catch(() => {});
  settled.abort();
}
