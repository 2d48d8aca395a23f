import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Answers } from './answers.ts';
import type { Launch } from './launch.ts';
import type { ClientAnswer, Gone } from './messages.ts';

const program = fileURLToPath(new URL('../programs/client.js', import.meta.url));

interface ClientOptions {
  readonly host?: string;
  readonly port: number;
  /** Each asks once and keeps its connection. */
  readonly connections: number;
  readonly path?: string;
  readonly signal: AbortSignal;
  /** Default: on this host. */
  readonly launch?: Launch;
}

/** Clients of a measured server, as the benchmark holds them. They end with the benchmark: their standard input closes. */
export class ClientProcess {
  readonly #child: ChildProcess;
  readonly #answers: Answers<ClientAnswer>;

  constructor({ host = '127.0.0.1', port, connections, path = '/', signal, launch = spawn }: ClientOptions) {
    this.#child = launch(process.execPath, [program, host, `${port}`, `${connections}`, path], {
      stdio: ['pipe', 'pipe', 'inherit'],
      signal,
    });
    // Whoever waits for an answer hears of it there.
    this.#child.on('error', () => {});
    this.#answers = new Answers(this.#child);
  }

  /** Waits until each has its response; returns when the last byte of all came, on the shared clock. */
  async answered(): Promise<number> {
    const { lastByteAt } = await this.#answers.next('answered');
    return lastByteAt;
  }

  /** Waits until every connection is closed. */
  gone(): Promise<Gone> {
    return this.#answers.next('gone');
  }

  async end(): Promise<void> {
    // It ends by itself once its connections are gone.
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await exited;
  }
}
