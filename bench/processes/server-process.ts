import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseTcpTable, type TcpRow } from '../../src/linux/tables/proc-net.ts';
import { Answers } from './answers.ts';
import type { Contender } from './contenders.ts';
import type { Launch } from './launch.ts';
import { type Answer, GONG, type Order } from './messages.ts';

type Program = 'server' | 'launcher' | 'http2-server' | 'refusing-server';

const programs: Readonly<Record<Program, string>> = {
  /** Started plainly, as systemd and Kubernetes do. */
  server: fileURLToPath(new URL('../programs/server.js', import.meta.url)),
  /** The same with a message channel, as fork and pm2 do. */
  launcher: fileURLToPath(new URL('../programs/launcher.js', import.meta.url)),
  /** Serves HTTP/2 in clear, and only tells its CPU time. */
  'http2-server': fileURLToPath(new URL('../programs/http2-server.js', import.meta.url)),
  /** The same under TLS; only the order to stop means anything to it. */
  'refusing-server': fileURLToPath(new URL('../programs/refusing-server.js', import.meta.url)),
};
// net/tcp_states.h
const LISTEN = 10;
const QUEUE_LIMIT = 20_000;

interface ServerOptions {
  readonly program?: Program;
  readonly host?: string;
  /** Of Node. */
  readonly execArgv?: readonly string[];
  /** Default: on this host. */
  readonly launch?: Launch;
}

/** A measured server, as the benchmark holds it. Ends with the benchmark, whatever happens: its standard input closes. */
export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #answers: Answers<Answer>;

  private constructor(child: ChildProcess, answers: Answers<Answer>, port: number) {
    this.#child = child;
    this.#answers = answers;
    this.port = port;
  }

  static async start(
    contender: Contender,
    signal: AbortSignal,
    { program = 'server', host = '127.0.0.1', execArgv = [], launch = spawn }: ServerOptions = {},
  ): Promise<ServerProcess> {
    const child = launch(process.execPath, [...execArgv, programs[program], contender, host], {
      stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
      signal,
    });
    // An aborted child reports its end as an error, too; whoever waits for an answer hears of it there.
    child.on('error', () => {});
    const answers = new Answers<Answer>(child);
    const { port } = await answers.next('listening');
    return new ServerProcess(child, answers, port);
  }

  /** Gives an order and returns the answer of that kind. */
  async ask<Kind extends Answer['kind']>(
    order: Order,
    kind: Kind,
    count = 0,
  ): Promise<Extract<Answer, { kind: Kind }>> {
    this.order(order, count);
    return this.answer(kind);
  }

  /** `count`: so many requests are held, or so many connections queued. */
  order(order: Order, count = 0): void {
    writable(this.#child.stdin).write(`${JSON.stringify({ order, count })}\n`);
  }

  answer<Kind extends Answer['kind']>(kind: Kind): Promise<Extract<Answer, { kind: Kind }>> {
    return this.#answers.next(kind);
  }

  /** Waits until so many clients are in the accept queue of the blocked server. */
  async queued(count: number): Promise<void> {
    const end = performance.now() + QUEUE_LIMIT;
    while (this.#queueLength() < count) {
      if (performance.now() > end) throw new Error(`Only ${this.#queueLength()} of ${count} clients came to queue`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Wakes a blocked server. */
  soundGong(): void {
    writable(this.#child.stdio[GONG]).write('!');
  }

  /** Resolves when the process has gone. */
  async exit(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }

  /** Ends the process, without ceremony. */
  async end(): Promise<void> {
    writable(this.#child.stdin).end();
    await this.exit();
  }

  #queueLength(): number {
    const row = firstTcpRows().find(({ state, localPort }) => state === LISTEN && localPort === this.port);
    return row?.receiveQueue ?? 0;
  }
}

/** The listeners come first in /proc/net/tcp; to make the rows of 50,000 closed connections would take the kernel 0.1 s. */
function firstTcpRows(): readonly TcpRow[] {
  const table = openSync('/proc/net/tcp', 'r');
  try {
    const bytes = Buffer.alloc(16_384);
    return parseTcpTable(bytes.toString('latin1', 0, readSync(table, bytes)));
  } finally {
    closeSync(table);
  }
}

function writable(stream: unknown): Writable {
  if (typeof stream === 'object' && stream !== null && 'write' in stream) return stream as Writable;
  throw new Error('The measured server has no such pipe');
}
