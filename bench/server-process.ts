import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseTcpTable, type TcpRow } from '../src/linux/proc-net.ts';
import type { Contender } from './contenders.ts';
import { type Answer, GONG, type Order } from './messages.ts';

const programs: Readonly<Record<StartedBy, string>> = {
  spawn: fileURLToPath(new URL('./server.js', import.meta.url)),
  fork: fileURLToPath(new URL('./launcher.js', import.meta.url)),
};
// net/tcp_states.h
const LISTEN = 10;
const QUEUE_LIMIT = 20_000;

/** How the server is started: plainly, as systemd and Kubernetes do, or with a message channel, as fork and pm2 do. */
export type StartedBy = 'spawn' | 'fork';

/** A measured server, as the benchmark holds it. Ends with the benchmark, whatever happens: its standard input closes. */
export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess, answers: AsyncIterator<string>, port: number) {
    this.#child = child;
    this.#answers = answers;
    this.port = port;
  }

  static async start(
    contender: Contender,
    signal: AbortSignal,
    startedBy: StartedBy = 'spawn',
  ): Promise<ServerProcess> {
    const child = spawn(process.execPath, [programs[startedBy], contender], {
      stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
      signal,
    });
    // An aborted child reports its end as an error, too; whoever waits for an answer hears of it there.
    child.on('error', () => {});
    const answers = createInterface({ input: readable(child.stdout) })[Symbol.asyncIterator]();
    const answer = await nextAnswer(answers);
    if (answer.kind !== 'listening') throw new Error(`Expected a server that listens, got ${answer.kind}`);
    return new ServerProcess(child, answers, answer.port);
  }

  /** Gives an order and returns the answer of that kind. */
  async ask<Kind extends Answer['kind']>(
    order: Order,
    kind: Kind,
    queued = 0,
  ): Promise<Extract<Answer, { kind: Kind }>> {
    this.order(order, queued);
    return this.answer(kind);
  }

  order(order: Order, queued = 0): void {
    writable(this.#child.stdin).write(`${JSON.stringify({ order, queued })}\n`);
  }

  async answer<Kind extends Answer['kind']>(kind: Kind): Promise<Extract<Answer, { kind: Kind }>> {
    const answer = await nextAnswer(this.#answers);
    if (!isOfKind(answer, kind)) throw new Error(`Expected the answer ${kind}, got ${answer.kind}`);
    return answer;
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

async function nextAnswer(answers: AsyncIterator<string>): Promise<Answer> {
  const line = await answers.next();
  if (line.done === true) throw new Error('The measured server ended before it answered');
  const answer: Answer = JSON.parse(line.value);
  return answer;
}

function isOfKind<Kind extends Answer['kind']>(answer: Answer, kind: Kind): answer is Extract<Answer, { kind: Kind }> {
  return answer.kind === kind;
}

function writable(stream: unknown): Writable {
  if (typeof stream === 'object' && stream !== null && 'write' in stream) return stream as Writable;
  throw new Error('The measured server has no such pipe');
}

function readable(stream: Readable | null): Readable {
  if (stream === null) throw new Error('The measured server has no standard output');
  return stream;
}
