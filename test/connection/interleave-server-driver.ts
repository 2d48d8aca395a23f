import type { CloseOptions, CloseReport } from '../../src/index.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import type { Host } from '../lab/lab.ts';
import type { InterleaveOrder, InterleaveTold } from './interleave-messages.ts';

/** The process with all the small servers, on a host of the lab. For `await using`. */
export class InterleaveServers implements AsyncDisposable {
  readonly #process: TestProcess<InterleaveTold>;
  #lastPort = 8_000;

  constructor(host: Host) {
    this.#process = startFixture('connection/interleave-server', { host });
  }

  /** Starts another server; resolves with its port once it listens. */
  async listen(): Promise<number> {
    this.#lastPort += 1;
    const port = this.#lastPort;
    this.#order({ order: 'listen', port });
    await this.#process.next('listening', isAbout(port));
    return port;
  }

  /** Resolves once the close has begun. */
  async beginClose(port: number, how: 'graceful' | 'plain', options: CloseOptions): Promise<void> {
    this.#order({ order: 'close', port, how, options });
    await this.#process.next('closing', isAbout(port));
  }

  /** Resolves with the report of a graceful close when it is over. */
  async report(port: number): Promise<CloseReport> {
    return (await this.#process.next('closed', isAbout(port))).report;
  }

  /** Lets go of a server; resolves with the requests that its program has seen. */
  async forget(port: number): Promise<readonly string[]> {
    this.#order({ order: 'forget', port });
    return (await this.#process.next('forgotten', isAbout(port))).processed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }

  #order(order: InterleaveOrder): void {
    this.#process.send(order);
  }
}

function isAbout(port: number): { where: (message: InterleaveTold) => boolean } {
  return { where: (message) => Object.values(message).some((facts) => facts.port === port) };
}
