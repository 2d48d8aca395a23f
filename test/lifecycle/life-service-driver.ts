import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import type { LastCallState } from '../../src/index.ts';
import type { LifeConfig, LifeOrder, LifeTells } from '../fixtures/lifecycle/life-service.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';

import type { Ended } from '../harness/observed-program.ts';
import { within } from '../harness/wait.ts';

const HOST = '127.0.0.1';

/** What came of a service. */
export interface LifeEnd extends Ended {
  /** Milliseconds since the first signal, or since the first order. */
  readonly after: number;
}

/** What a client got: the status, or the error's code. */
export interface Answered {
  readonly status: number | string;
  readonly connection: string | undefined;
}

/** A service in a process of its own. For `await using`. */
export class LifeService implements AsyncDisposable {
  readonly ended: Promise<LifeEnd>;
  readonly #process: TestProcess<LifeTells>;
  #toldAt = 0;

  constructor(config: LifeConfig = {}, env: NodeJS.ProcessEnv = {}) {
    // Whatever runs the tests, the program is to find the surroundings of a terminal.
    const surroundings = { KUBERNETES_SERVICE_HOST: undefined, NOTIFY_SOCKET: undefined };
    this.#process = startFixture('lifecycle/life-service', {
      args: [JSON.stringify(config)],
      env: { ...surroundings, ...env },
    });
    this.ended = this.#process.ended.then(({ code, signal, stderr }) => {
      return { code, signal, stderr, after: performance.now() - this.#toldAt };
    });
  }

  /** As that of {@link TestProcess}. */
  get next(): TestProcess<LifeTells>['next'] {
    return this.#process.next;
  }

  signal(name: NodeJS.Signals = 'SIGTERM'): void {
    this.#toldAt ||= performance.now();
    this.#process.signal(name);
  }

  /** Sends signals of which each finds the others pending: the process is held still meanwhile. */
  async signalTogether(...names: readonly NodeJS.Signals[]): Promise<void> {
    await this.#process.hold();
    for (const name of names) this.signal(name);
    this.#process.goOn();
  }

  order(order: LifeOrder): void {
    this.#toldAt ||= performance.now();
    this.#process.send(order);
  }

  /** Resolves when the service has come to this state, with the reason. */
  async reaches(state: LastCallState): Promise<string | undefined> {
    const { reason } = await this.next('state', {
      where: (message) => 'state' in message && message.state.state === state,
    });
    return reason;
  }

  /** Asks, and resolves once the program has the request. */
  async begin(path: string, port: number): Promise<{ readonly answer: Promise<Answered> }> {
    const answer = ask(path, port);
    await this.next('asked');
    return { answer };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

/** One request on a connection of its own, that the client would keep. */
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
