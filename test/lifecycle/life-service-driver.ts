import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import type { LastCallState } from '../../src/index.ts';
import type { LifeConfig, LifeOrder, LifeTells } from '../fixtures/lifecycle/life-service.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';

import type { Ended } from '../harness/observed-program.ts';
import { within } from '../harness/wait.ts';

const HOST = '127.0.0.1';

/** How a service ended. */
export interface LifeEnd extends Ended {
  /** Since the first signal or order, in ms. */
  readonly after: number;
}

/** The status that a client got, or the error's code. */
export interface Answered {
  readonly status: number | string;
  readonly connection: string | undefined;
}

/** A service in a process of its own. For `await using`. */
export class LifeService implements AsyncDisposable {
  readonly ended: Promise<LifeEnd>;
  readonly #process: TestProcess<LifeTells>;
  #beganAt = 0;

  constructor(config: LifeConfig = {}, env: NodeJS.ProcessEnv = {}) {
    // The program finds the environment of a terminal, whatever runs the tests.
    const terminal = { KUBERNETES_SERVICE_HOST: undefined, NOTIFY_SOCKET: undefined };
    this.#process = startFixture('lifecycle/life-service', {
      args: [JSON.stringify(config)],
      env: { ...terminal, ...env },
    });
    this.ended = this.#process.ended.then(({ code, signal, stderr }) => {
      return { code, signal, stderr, after: performance.now() - this.#beganAt };
    });
  }

  /** As that of {@link TestProcess}. */
  get next(): TestProcess<LifeTells>['next'] {
    return this.#process.next;
  }

  signal(name: NodeJS.Signals = 'SIGTERM'): void {
    this.#beganAt ||= performance.now();
    this.#process.signal(name);
  }

  /** Sends several signals while the process is held still, so that all are pending at once. */
  async signalTogether(...names: readonly NodeJS.Signals[]): Promise<void> {
    await this.#process.hold();
    for (const name of names) this.signal(name);
    this.#process.goOn();
  }

  order(order: LifeOrder): void {
    this.#beganAt ||= performance.now();
    this.#process.send(order);
  }

  /** Resolves with the reason when the service has reached this state. */
  async reaches(state: LastCallState): Promise<string | undefined> {
    const { reason } = await this.next('state', {
      where: (message) => 'state' in message && message.state.state === state,
    });
    return reason;
  }

  /** Sends a request. Resolves when the program has it. */
  async begin(path: string, port: number): Promise<{ readonly answer: Promise<Answered> }> {
    const answer = ask(path, port);
    await this.next('asked');
    return { answer };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

/** One request on a new connection, which the client would keep. */
export async function ask(path: string, port: number): Promise<Answered> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const request = http.get({ host: HOST, port, path, agent });
    const [response]: http.IncomingMessage[] = await within(`an answer to ${path}`, once(request, 'response'));
    await text(response!);
    return { status: response!.statusCode ?? 0, connection: response!.headers.connection };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return { status: code, connection: undefined };
  } finally {
    agent.destroy();
  }
}
