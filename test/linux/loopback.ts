import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { IPPROTO_TCP, TCP_DEFER_ACCEPT } from '../../src/linux/constants.ts';
import { type ConnectionEnds, dumpHalfOpen } from '../../src/linux/tables/inet-diag.ts';
import { setIntOption } from '../../src/linux/sockets.ts';
import { descriptorOf } from '../../src/node/fields.ts';
import { makeFolder } from '../harness/folders.ts';
import { Scope } from '../harness/scope.ts';

export interface Listening {
  readonly server: net.Server;
  readonly fd: number;
  /** 0 for a Unix socket. */
  readonly port: number;
}

/** Listeners and clients of this process. For `await using`: they are closed at the end of the block. */
export class Loopback extends Scope {
  /** Listens on a free port of 127.0.0.1 by default. */
  async startListener(where: net.ListenOptions = {}, options: net.ServerOpts = {}): Promise<Listening> {
    const server = net.createServer(options);
    server.on('connection', (socket) => {
      socket.on('error', () => {});
      this.defer(() => socket.destroy());
    });
    server.listen('path' in where ? where : { host: '127.0.0.1', port: 0, ...where });
    await once(server, 'listening');
    this.defer(() => server.close());
    const address = server.address();
    return { server, fd: fdOf(server), port: typeof address === 'object' && address !== null ? address.port : 0 };
  }

  /** The same, but silent clients stay half-open for a minute: the kernel drops their final ACK (tcp(7), TCP_DEFER_ACCEPT). */
  async startDeferredListener(where: net.ListenOptions = {}): Promise<Listening> {
    const listening = await this.startListener(where);
    setIntOption(listening.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60);
    return listening;
  }

  /** A client whose handshake is complete. */
  async connect(target: net.NetConnectOpts): Promise<net.Socket> {
    const client = this.beginConnect(target);
    await once(client, 'connect');
    return client;
  }

  /** A client that sends its SYN in the next tick; the loopback delivers it before connect(2) returns. */
  beginConnect(target: net.NetConnectOpts): net.Socket {
    const client = net.connect(target);
    // It may be reset at the end of the block. Before that `once` rejects for those that wait for an event.
    client.on('error', () => {});
    this.defer(() => client.destroy());
    return client;
  }

  /** Connects `count` clients from another thread. Blocks this thread, so that its servers accept none. */
  connectWhileBlocked(target: net.NetConnectOpts, count: number): void {
    const connected = new SharedArrayBuffer(4);
    const order: WorkerOrder = { target, count, connected };
    const worker = new Worker(new URL('./connecting-worker.js', import.meta.url), { workerData: order });
    this.defer(() => worker.terminate());
    const outcome = Atomics.wait(new Int32Array(connected), 0, 0, 60_000);
    assert.notEqual(outcome, 'timed-out', `the worker did not connect ${count} clients in a minute`);
  }

  /** A path for a Unix socket in a folder of its own. */
  socketPath(): string {
    return join(this.use(makeFolder()).path, 'socket');
  }
}

/** The order for the worker thread that connects clients. */
export interface WorkerOrder {
  readonly target: net.NetConnectOpts;
  readonly count: number;
  readonly connected: SharedArrayBuffer;
}

/** Blocks this thread while the kernel counts time. */
export function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

export function fdOf(owner: net.Server | net.Socket): number {
  const fd = descriptorOf(owner);
  assert(fd !== undefined);
  return fd;
}

/** The half-open connections to one port: other tests may run on this host. */
export function halfOpenTo(family: 'IPv4' | 'IPv6', port: number): readonly ConnectionEnds[] {
  return dumpHalfOpen(family).filter(({ localPort }) => localPort === port);
}
